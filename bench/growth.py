"""Whether memory stands still: what is resident after each step of a long run, and the most within it.

Usage:
    python bench/growth.py MODEL_FOLDER

500 steps of the quickstart and 60 of smollm2-cpu, without evaluation. Growth is that of the mean over the last fifth of
the steps against the mean over the second: the first meets the first of everything. A table goes to stderr, one JSON
object to stdout.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

from sides import HERE, Run, head, in_time, measure, say

RECIPES = HERE.parent / "recipes"
FIFTHS = 5


def by_fifth(values: Sequence[int]) -> list[float]:
    """Means, in bytes."""
    size = len(values) // FIFTHS
    return [mean(values[start : start + size]) for start in range(0, size * FIFTHS, size)]


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    model = str(Path(sys.argv[1]).resolve())
    result: Run = {}
    head("recipe", "steps", "resident", *(f"fifth {number}, MB" for number in range(1, FIFTHS + 1)), "growth")
    with in_time():
        for name, steps, overrides in (("quickstart", 500, {}), ("smollm2-cpu", 60, {"model.id": model})):
            recipe = str(RECIPES / f"{name}.yaml")
            run = result[name] = measure(sys.executable, "growth_ours.py", recipe, str(steps), json.dumps(overrides))
            for which, values in (("after a step", run["after"]), ("at the most", run["peaks"])):
                fifths = by_fifth(values)
                said = [f"{value / 1e6:.0f}" for value in fifths]
                say(name, str(steps), which, *said, f"{100 * (fifths[-1] / fifths[1] - 1):+.1f}%")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
