"""A problem that brings its own verifier: reasoning-gym's, by the task that made it."""

from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from typing import Any

Verifier = Mapping[str, Any]
"""What reasoning-gym needs to judge an answer: `task`, its `params`, and the `entry`: question, answer, metadata."""


def verifier_of(row: Mapping[str, Any]) -> Verifier | None:
    """Of a sample that a run has kept, or of an entry of reasoning-gym's in a file; None of any other row.

    >>> verifier_of({"question": "1+1?", "answer": "2"})
    """
    kept, metadata = row.get("verifier"), row.get("metadata")
    if isinstance(kept, Mapping) and {"task", "params", "entry"} <= kept.keys() and is_task(kept["task"]):
        return kept
    if not isinstance(metadata, Mapping) or not {"source_dataset", "source_index"} <= metadata.keys():
        return None
    if not {"question", "answer"} <= row.keys() or not is_task(metadata["source_dataset"]):
        return None
    entry = {name: row[name] for name in ("question", "answer", "metadata")}
    return {"task": metadata["source_dataset"], "params": {}, "entry": entry}


@cache
def is_task(name: object) -> bool:
    """Whether reasoning-gym is installed and has a task of this name."""
    if not isinstance(name, str) or find_spec("reasoning_gym") is None:
        return False
    from reasoning_gym.factory import DATASETS

    return name in DATASETS
