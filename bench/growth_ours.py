"""One run of `bench/growth.py`: what is resident after each step, and the most that was within it (Linux).

Prints one JSON line.
"""

import json
import sys
import tempfile
from pathlib import Path

from resident import forget_peak, resident

from tina_lite import load_recipe, run
from tina_lite.runs.events import Stamped, StepDone


def main() -> None:
    recipe, steps, overrides = sys.argv[1:]
    after: list[int] = []
    peaks: list[int] = []

    def watch(stamped: Stamped) -> None:
        if isinstance(stamped.event, StepDone):
            after.append(resident("VmRSS"))
            peaks.append(resident("VmHWM"))
            forget_peak()

    settings = {"stop.max_steps": int(steps), "eval.benchmarks": [], "budget.max_usd": None, **json.loads(overrides)}
    with tempfile.TemporaryDirectory() as folder:
        run(load_recipe(recipe, settings), out=Path(folder) / "run", listeners=[watch])
    print(json.dumps({"after": after, "peaks": peaks}))


if __name__ == "__main__":
    main()
