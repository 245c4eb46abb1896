"""What a busy machine costs: a run alone, and two at once, with the threads' short spin and with OpenMP's own.

Usage:
    python bench/busy.py MODEL_FOLDER GSM8K.jsonl

The quickstart for 6 steps without evaluation, and a *full* step of `bench/step.py`: seconds from the start of the
processes to their end, and of a step, median, the first left out. A fair share is twice the seconds of one alone; who
takes more than twice that is not waited for. A table goes to stderr, one JSON object to stdout.
"""

import json
import math
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from sides import HERE, TookTooLong, head, in_time, run, say

from tina_lite.util.device import SPINS

STEPS = 6
OWN_SPINS = 300_000
"""GNU's OpenMP's, where nothing is set."""
PATIENCE = 2


def quickstart_steps(out: str) -> list[float]:
    events = map(json.loads, out.splitlines())
    return [event["metrics"]["step_time"] for event in events if event["event"] == "step"]


def learner_steps(out: str) -> list[float]:
    seconds: list[float] = json.loads(out.splitlines()[-1])["seconds"]
    return seconds


Workload = tuple[str, Callable[[Path], list[str]], Callable[[str], list[float]]]
"""Its name, its command line given a new folder, seconds of its steps from what it prints."""


def workloads(model: str, data: str) -> list[Workload]:
    """Both, as commands."""

    def quickstart(out: Path) -> list[str]:
        run = [sys.executable, "-m", "tina_lite.cli.main", "run", "quickstart", "--json", "--out", str(out)]
        return [*run, "--max-steps", str(STEPS), "--set", "eval.benchmarks=[]"]

    def step(out: Path) -> list[str]:
        return [sys.executable, str(HERE / "step_ours.py"), model, data, "warm-up", "full"]

    return [("quickstart", quickstart, quickstart_steps), ("SmolLM2-135M", step, learner_steps)]


def timed(workload: Workload, at_once: int, spins: int, limit_s: float = math.inf) -> dict[str, float] | None:
    """Seconds of the processes from start to end, and of a step, median; None where they take longer than `limit_s`."""
    _, command, steps = workload
    with tempfile.TemporaryDirectory() as folder:
        commands = [command(Path(folder) / str(number)) for number in range(at_once)]
        started = time.perf_counter()
        try:
            told = run(commands, limit_s=limit_s, GOMP_SPINCOUNT=str(spins))
        except TookTooLong:
            return None
        whole_s = time.perf_counter() - started
    return {"whole_s": whole_s, "step_s": median(value for out in told for value in steps(out)[1:])}


def compare(workload: Workload, found: list[dict[str, Any]]) -> None:
    """Alone, two at once, alone again; rows are shown, and added to `found`, as they are measured."""
    alone_s = math.inf
    for at_once, spins in ((1, OWN_SPINS), (1, SPINS), (2, SPINS), (2, OWN_SPINS), (1, OWN_SPINS), (1, SPINS)):
        limit_s = PATIENCE * 2 * alone_s
        seconds = timed(workload, at_once, spins, limit_s)
        if seconds is None:
            cells = [f"over {limit_s:.0f}", ""]
        else:
            cells = [f"{seconds['whole_s']:.1f}", f"{seconds['step_s']:.2f}"]
            alone_s = min(alone_s, seconds["whole_s"])
        say(workload[0], at_once, f"{spins:,}", *cells, f"{2 * alone_s:.1f}" if at_once == 2 else "")
        found.append({"workload": workload[0], "at_once": at_once, "spins": spins, **(seconds or {})})


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    found: list[dict[str, Any]] = []
    head("what", "at once", "spins", "processes, s", "a step, s", "fair share, s")
    with in_time():
        for workload in workloads(*sys.argv[1:]):
            compare(workload, found)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
