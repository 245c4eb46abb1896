"""How often the turning point is found in vain, and how late, on simulated curves and on recorded runs.

Usage:
    python bench/turning_point.py [METRICS.jsonl ...]
"""

import json
import random
import sys
from pathlib import Path
from statistics import fmean

from tina_lite.train.turning_point import FORMAT, LENGTH, TurnTest

RUNS, STEPS, BEFORE, AFTER, SOON = 1000, 300, 100, 40, 10


def seen(lengths: list[float], formats: list[float]) -> TurnTest:
    test = TurnTest()
    for step, (length, reward) in enumerate(zip(lengths, formats, strict=True), start=1):
        if test.after(step, length, reward):
            break
    return test


def main() -> None:
    draws = random.Random(1)

    def noise(steps: int, shift: float = 0.0) -> list[float]:
        return [draws.gauss(shift, 1.0) for _ in range(steps)]

    vain = sum(seen(noise(STEPS), noise(STEPS)).step > 0 for _ in range(RUNS))
    print(f"false alarms: {vain} of {RUNS} flat runs of {STEPS} steps")
    for both, name in ((-2.0, "both turn by 2 standard deviations"), (0.0, "the length alone does")):
        found = [seen(noise(BEFORE) + noise(AFTER, 2.0), noise(BEFORE) + noise(AFTER, both)) for _ in range(RUNS)]
        late = [test.seen_step - BEFORE for test in found if BEFORE < test.seen_step <= BEFORE + SOON]
        print(f"{name}: {len(late)} of {RUNS} found within {SOON} steps, after {fmean(late):.1f} on average")
    for path in map(Path, sys.argv[1:]):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        test = seen([row[LENGTH] for row in rows], [row.get(FORMAT, 0.0) for row in rows])
        turn = f"turned at step {test.step}, seen at {test.seen_step}" if test.step else "no turn"
        print(f"{path}: {turn}, {len(rows)} steps")


if __name__ == "__main__":
    main()
