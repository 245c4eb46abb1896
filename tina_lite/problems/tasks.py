"""Problems that are made by a program: the built-in arithmetic and the tasks of reasoning-gym."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from tina_lite.errors import BadInput, nearest
from tina_lite.problems.arithmetic import arithmetic
from tina_lite.problems.problem_set import ProblemSet
from tina_lite.problems.rows import answer_of, clean
from tina_lite.records import Problem

ARITHMETIC_SIZES = {"train": 100_000, "test": 2_000}
GYM_PREFIX = "reasoning_gym:"
ROWS_TRIED = 8
"""Gym tasks without a gold have none anywhere: a few rows tell."""


def load_arithmetic(split: str | None, params: Mapping[str, object], seed: int, limit: int | None) -> ProblemSet:
    """The quickstart's task; nothing is stored, each problem is made from seed, split and index."""
    split = split or "train"
    if split not in ARITHMETIC_SIZES:
        hint = nearest(split, list(ARITHMETIC_SIZES))
        raise BadInput(f"data.split: arithmetic has no split {split!r}{hint} (train, test)")
    refuse_unknown(params, ["size"], "arithmetic")
    size = _size(params.get("size", ARITHMETIC_SIZES[split]), "arithmetic")

    def fetch(index: int) -> Problem:
        question, answer = arithmetic(seed, split, index)
        return Problem(index, question, answer, {})

    return ProblemSet("arithmetic", fetch, range(size)[:limit], {})


def load_gym(source: str, params: Mapping[str, object], seed: int, limit: int | None) -> ProblemSet:
    """A task of reasoning-gym with its own parameters; its golds are compared by the accuracy reward."""
    task = source.removeprefix(GYM_PREFIX)
    config = _gym_config(task)
    refuse_unknown(params, [field.name for field in dataclasses.fields(config)], source)
    dataset = _create(task, {"seed": seed, **params})
    rows = range(_size(len(dataset), source))[:limit]
    if not any(answer_of(dataset[row]["answer"]) for row in rows[:ROWS_TRIED]):
        raise BadInput(
            f"data.source: {source} has no answers to compare with, only its own verifier; choose another task"
        )

    def fetch(index: int) -> Problem:
        entry = dataset[index]
        return Problem(index, clean(entry["question"]), answer_of(entry["answer"]), _json_like(entry["metadata"]))

    return ProblemSet(task, fetch, rows, {})


def _gym_config(task: str) -> type[Any]:
    try:
        from reasoning_gym.factory import DATASETS
    except ModuleNotFoundError as error:
        raise BadInput("data.source: reasoning-gym is not installed; pip install 'tina-lite[tasks]'") from error
    if task not in DATASETS:
        some = ", ".join(sorted(DATASETS)[:6])
        hint = nearest(task, list(DATASETS)) or f"; there are {len(DATASETS)}: {some}, ..."
        raise BadInput(f"data.source: reasoning-gym has no task {task!r}{hint}")
    config: type[Any] = DATASETS[task][1]
    return config


def _create(task: str, params: Mapping[str, object]) -> Sequence[dict[str, Any]]:
    import reasoning_gym

    try:
        dataset: Sequence[dict[str, Any]] = reasoning_gym.create_dataset(task, **params)
    except (AssertionError, TypeError, ValueError) as error:
        raise BadInput(f"data.params: reasoning-gym refuses {dict(params)} for {task}: {error}") from error
    return dataset


def _size(size: object, source: str) -> int:
    if isinstance(size, int) and not isinstance(size, bool) and size > 0:
        return size
    raise BadInput(f"data.params.size: {source} cannot have {size!r} problems; give a whole number above 0")


def refuse_unknown(params: Mapping[str, object], allowed: Sequence[str], source: str) -> None:
    for name in params:
        if name not in allowed:
            listed = f"allowed: {', '.join(allowed)}" if allowed else "it takes none"
            raise BadInput(f"data.params: {source} has no parameter {name!r}{nearest(name, list(allowed))} ({listed})")


def _json_like(metadata: object) -> dict[str, object]:
    """The entry's metadata as a column, where it would survive being written down."""
    try:
        json.dumps(metadata)
    except (TypeError, ValueError):
        return {}
    return {"metadata": metadata}
