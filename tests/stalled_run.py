"""`tina-lite run` in which rollout, reward, update and save stall at random: python stalled_run.py SEED run RECIPE ...

A fault is injected, nothing is waited for: a disk, a driver or a neighbour can hold a process up at any moment.
"""

import random
import sys
import time
from collections.abc import Callable
from typing import Any

STALL_S = 2.0
"""The longest."""
ONE_IN = 3


def stalling(work: Callable[..., Any], dice: random.Random) -> Callable[..., Any]:
    def stalled(*arguments: Any, **others: Any) -> Any:
        if dice.randrange(ONE_IN) == 0:
            time.sleep(dice.uniform(0, STALL_S))
        return work(*arguments, **others)

    return stalled


def main() -> None:
    dice = random.Random(int(sys.argv.pop(1)))
    from tina_lite.cli.main import main as command
    from tina_lite.rollout import sampler
    from tina_lite.runs import checkpoint
    from tina_lite.train import collect as collector
    from tina_lite.train import learner

    sampler.Sampler.rollout = stalling(sampler.Sampler.rollout, dice)
    learner.Learner.update = stalling(learner.Learner.update, dice)
    collector.score = stalling(collector.score, dice)
    checkpoint.save = stalling(checkpoint.save, dice)
    command()


if __name__ == "__main__":
    main()
