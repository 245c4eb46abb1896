"""The judging programs as the rewards see them: ask, and get verdicts; what was asked before is remembered."""

import atexit
import json
import os
import sys
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tina_lite.rewards.calling import Failure
from tina_lite.rewards.workers import LOST, Lost, WorkerPool

LIMIT_S = 5.0
"""Wall-clock seconds for one comparison; past it the completion counts as wrong."""
MOST_WORKERS = 4
VERDICTS_KEPT = 4096
HOME = str(Path(__file__).parents[2])


def undecided(judge: str) -> Failure:
    """What a completion gets over which a judge had no time."""
    return Failure(f"TimeoutError: {judge} was asked twice and did not decide within {LIMIT_S:g} s")


class Judge:
    """A program, run in as many processes as there are processors, at most MOST_WORKERS."""

    def __init__(self, pool: WorkerPool) -> None:
        self.pool = pool
        self._kept: OrderedDict[str, Any] = OrderedDict()

    def ask(self, requests: Sequence[Mapping[str, Any]]) -> list[Any | Lost]:
        """A verdict for each request; LOST where no time sufficed.

        What it did not decide in time is asked once more, and never remembered: it may have been the machine.
        """
        keys = [json.dumps(request, sort_keys=True) for request in requests]
        by_key = dict(zip(keys, requests, strict=True))
        found = {key: self._kept[key] for key in by_key if key in self._kept}
        for _ in range(2):
            new = [key for key in by_key if found.get(key, LOST) is LOST]
            if new:
                replies = self.pool.ask([{**by_key[key], "limit_s": LIMIT_S} for key in new])
                found.update(zip(new, replies, strict=True))
        self._kept.update((key, verdict) for key, verdict in found.items() if verdict is not LOST)
        while len(self._kept) > VERDICTS_KEPT:
            self._kept.popitem(last=False)
        return [found[key] for key in keys]


@cache
def math_verify() -> Judge:
    """It takes `{"gold": ..., "answer": ..., "boxed": true}`; None where the gold cannot be parsed."""
    return _judge("formulas")


@cache
def reasoning_gym() -> Judge:
    """It takes `{"problem": ..., "answers": [...]}`; the best score, or None where there is no such problem."""
    return _judge("gym")


def command_of(module: str) -> list[str]:
    """What runs a module of tina_lite.judges; the working directory is not searched for what it imports."""
    program = f"import sys; sys.path.append({HOME!r}); from tina_lite.judges.{module} import main; main()"
    return [sys.executable, "-P", "-c", program]


def _judge(module: str) -> Judge:
    """Its workers take some 100 MB each, and are started as they are needed."""
    pool = WorkerPool(command_of(module), size=min(MOST_WORKERS, os.cpu_count() or 1), limit_s=LIMIT_S)
    atexit.register(pool.close)
    return Judge(pool)
