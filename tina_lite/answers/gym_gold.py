"""Golds of reasoning-gym's problems: what is right, the verifier of the task says."""

from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from typing import Any

VERIFIER = "verifier"
"""The field of a kept sample that holds what its verifier needs."""


class GymGold(str):
    """The task's sample answer, empty where it has none."""

    verifier: Mapping[str, Any]
    """What its verifier needs: `task`, its `params`, and the `entry`: question, answer, metadata."""

    def __new__(cls, answer: object, verifier: Mapping[str, Any]) -> "GymGold":
        gold = super().__new__(cls, answer or "")
        gold.verifier = verifier
        return gold


def gym_gold(row: Mapping[str, Any]) -> GymGold | None:
    """Of a sample that a run has kept, or of an entry of reasoning-gym's in a file; None of any other row.

    >>> gym_gold({"question": "1+1?", "answer": "2"})
    """
    kept, metadata = row.get(VERIFIER), row.get("metadata")
    if isinstance(kept, Mapping) and {"task", "params", "entry"} <= kept.keys() and is_task(kept["task"]):
        return GymGold(row.get("answer"), kept)
    if not isinstance(metadata, Mapping) or not {"source_dataset", "source_index"} <= metadata.keys():
        return None
    if not {"question", "answer"} <= row.keys() or not is_task(metadata["source_dataset"]):
        return None
    entry = {name: row[name] for name in ("question", "answer", "metadata")}
    return GymGold(row["answer"], {"task": metadata["source_dataset"], "params": {}, "entry": entry})


def kept_of(gold: str) -> dict[str, Mapping[str, Any]]:
    """What a sample keeps beside the gold, so that it can be judged again."""
    return {VERIFIER: gold.verifier} if isinstance(gold, GymGold) else {}


@cache
def is_task(name: object) -> bool:
    """Whether reasoning-gym is installed and has a task of this name."""
    if not isinstance(name, str) or find_spec("reasoning_gym") is None:
        return False
    from reasoning_gym.factory import DATASETS

    return name in DATASETS
