"""Problems that are made by a program: the built-in arithmetic, tasks of reasoning-gym, and functions of the user."""

import dataclasses
import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import localcontext
from hashlib import blake2b
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

from tina_lite.data.examples import Selection
from tina_lite.data.files import load_rows
from tina_lite.data.problem_set import ProblemSet
from tina_lite.data.readers import Listed
from tina_lite.data.values import clean
from tina_lite.recipe.schema import DataSection
from tina_lite.util.errors import BadInput, TinaError, nearest
from tina_lite.util.records import Problem
from tina_lite.util.user_code import guest, load_function

LARGEST_VALUE = 199
LARGEST_OPERAND = 99
HELD_OUT_ONE_IN = 8

NAMES = ("Sam", "Mia", "Tom", "Ana", "Leo", "Eve", "Max", "Zoe")
THINGS = ("shells", "coins", "books", "cards", "stamps", "apples", "beads", "pens")
GAINS = ("gets {} more", "finds {}", "buys {}", "wins {}")
LOSSES = ("loses {}", "sells {}", "gives {} away", "drops {}")


@dataclass(frozen=True, slots=True)
class Sum:
    """Two to four signed terms; every running total lies in 0..LARGEST_VALUE."""

    terms: tuple[int, ...]

    @property
    def value(self) -> int:
        return sum(self.terms)

    @property
    def expression(self) -> str:
        return str(self.terms[0]) + "".join(f"{term:+d}" for term in self.terms[1:])

    @property
    def steps(self) -> tuple[str, ...]:
        """Give the working, one operation a line."""
        totals = tuple(accumulate(self.terms))
        return tuple(f"{before}{term:+d}={after}" for before, term, after in zip(totals, self.terms[1:], totals[1:]))

    @property
    def features(self) -> dict[str, int]:
        """What makes it hard: how many terms, and digits of the longest."""
        return {"terms": len(self.terms), "digits": len(str(max(map(abs, self.terms))))}

    @property
    def held_out(self) -> bool:
        digest = blake2b(self.expression.encode(), digest_size=4).digest()
        return int.from_bytes(digest, "big") % HELD_OUT_ONE_IN == 0


def draw_sum(rng: random.Random, held_out: bool) -> Sum:
    """Make a random sum of the wanted split, by rejection."""
    while True:
        count = rng.choice((2, 3, 4))
        terms = [rng.randint(2, LARGEST_OPERAND)]
        terms += [rng.choice((1, -1)) * rng.randint(2, LARGEST_OPERAND) for _ in range(count - 1)]
        candidate = Sum(tuple(terms))
        if all(0 <= total <= LARGEST_VALUE for total in accumulate(terms)) and candidate.held_out == held_out:
            return candidate


def ask(rng: random.Random, problem: Sum) -> str:
    """Ask the question in words: as a bare expression, or as a short story with the same numbers."""
    if rng.random() < 0.5:
        return f"What is {problem.expression}?"
    name, things = rng.choice(NAMES), rng.choice(THINGS)
    deeds = [rng.choice(GAINS if term > 0 else LOSSES).format(abs(term)) for term in problem.terms[1:]]
    told = ", then ".join(deeds)
    return f"{name} has {problem.terms[0]} {things}. {name} {told}. How many {things} now?"


def arithmetic(seed: int, split: str, index: int) -> Problem:
    """Give number `index` of a split ("train" or "test") under a seed."""
    rng = random.Random(f"{seed}/{split}/{index}")
    problem = draw_sum(rng, held_out=split == "test")
    return Problem(index, ask(rng, problem), str(problem.value), problem.features)


ARITHMETIC_SIZES = {"train": 100_000, "test": 2_000}
GYM_PREFIX = "reasoning_gym:"
MIXTURE_SIZE = 500
"""Reasoning-gym's own default for a task."""


def load_arithmetic(data: DataSection, seed: int) -> ProblemSet:
    """The quickstart's task; nothing is stored, each problem is made from seed, split and index."""
    split, params = data.split or "train", data.params
    if split not in ARITHMETIC_SIZES:
        hint = nearest(split, list(ARITHMETIC_SIZES))
        raise BadInput(f"data.split: arithmetic has no split {split!r}{hint} (train, test)")
    refuse_unknown(params, ["size"], "arithmetic")
    size = _size(params.get("size", ARITHMETIC_SIZES[split]), "arithmetic")

    return ProblemSet("arithmetic", lambda index: arithmetic(seed, split, index), range(size)[: data.limit], {})


def load_gym(data: DataSection, seed: int) -> ProblemSet:
    """Load a task of reasoning-gym, or a mixture such as `reasoning_gym:chain_sum=2,gcd`: twice as many sums.

    A task's own parameters are `params`, those of a mixture's tasks are under their names. Problem `index` is made
    when it is asked for, from the seed and the index alone; answers are judged by the verifier of its task.
    """
    source, params = data.source, data.params
    weights = mixture(source)
    if len(weights) == 1:
        (task,) = weights
        tasks = {task: _task(task, {"seed": seed, **params})}
        size = _size(len(tasks[task].dataset), source)
    else:
        refuse_unknown(params, ["size", *weights], source)
        size = _size(params.get("size", MIXTURE_SIZE), source)
        tasks = {task: _task(task, {"seed": seed, "size": size, **_own(params, task)}) for task in weights}

    def fetch(index: int) -> Problem:
        (task,) = random.Random(f"{seed}/mixture/{index}").choices(list(weights), list(weights.values()))
        with localcontext():  # decimal_arithmetic sets the precision of the whole process
            entry = tasks[task].dataset[index]
        entry = {name: entry[name] for name in ("question", "answer", "metadata")}
        columns = {"task": task, **_json_like(entry["metadata"])}
        verifier = {"task": task, "params": tasks[task].params, "entry": entry} if "metadata" in columns else None
        return Problem(index, clean(entry["question"]), str(entry["answer"] or ""), columns, verifier=verifier)

    return ProblemSet("+".join(weights), fetch, range(size)[: data.limit], {})


def mixture(source: str) -> dict[str, float]:
    """Read the tasks of a source with their weights.

    >>> mixture("reasoning_gym:chain_sum=2,gcd")
    {'chain_sum': 2.0, 'gcd': 1.0}
    """
    weights: dict[str, float] = {}
    for part in source.removeprefix(GYM_PREFIX).split(","):
        task, equals, weight = (piece.strip() for piece in part.partition("="))
        try:
            weights[task] = float(weight) if equals else 1.0
        except ValueError:
            weights[task] = math.nan
        if not 0 < weights[task] < math.inf:
            raise BadInput(f"data.source: {source}: the weight of {task} is {weight!r}; give a number above 0")
    return weights


def _own(params: Mapping[str, object], task: str) -> Mapping[str, object]:
    own = params.get(task, {})
    if isinstance(own, Mapping):
        return own
    raise BadInput(f"data.params.{task}: got {own!r}; needs the parameters of that task, such as {{max_terms: 3}}")


class _Task(NamedTuple):
    """A task as reasoning-gym makes it, and from what."""

    dataset: Sequence[dict[str, Any]]
    params: Mapping[str, object]


def _task(task: str, params: Mapping[str, object]) -> _Task:
    refuse_unknown(params, [field.name for field in dataclasses.fields(_gym_config(task))], f"{GYM_PREFIX}{task}")
    return _Task(_create(task, params), params)


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


def load_function_rows(selection: Selection, base_folder: Path | None) -> ProblemSet:
    """The rows that `module:function` or `file.py:function` gives: `function(**params)`, a list of objects."""
    source, params = selection.data.source, selection.data.params
    function = load_function(source, base_folder, "data.source")
    try:
        with guest(source):
            given = function(**params)
            rows = given if isinstance(given, Sequence) else list(given)
    except TinaError:
        raise
    except (Exception, SystemExit) as error:
        raise BadInput(
            f"data.source: {source} raised {type(error).__name__}: {error} (called with {dict(params)})"
        ) from (error)
    if isinstance(rows, str | bytes):
        raise BadInput(f"data.source: {source} gave a text; it should give rows such as {{question: ..., answer: ...}}")
    return load_rows(Listed(rows, source), source.rpartition(":")[2], source, selection)


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
