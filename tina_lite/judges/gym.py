"""Reasoning-gym's own verifiers, as a program of its own: some take long, and some evaluate what a model wrote.

In: `{"problem": {"task": ..., "params": {...}, "entry": {"question": ..., "answer": ..., "metadata": {...}}},
"answers": [...]}`. Out: the best score of the answers, or null where there is no such task.
"""

import ast
import inspect
import json
import math
import re
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from tina_lite.judges.formulas import leave_the_huge_symbolic, serve

EVALUATES = re.compile(r"\b(?:eval|exec|parse_expr|sympify)\(")
CALLED = re.compile(r"([A-Za-z_]\w*)\s*\(|\.\s*([A-Za-z_]\w*)")
HARMLESS = frozenset(
    "sin cos tan cot sec csc sinh cosh tanh asin acos atan exp log ln sqrt abs Abs pow max min factorial".split()
)


def score(problem: Mapping[str, Any], answers: Sequence[str]) -> float | None:
    """The best score of the readings of one answer, as the task's authors score; None where there is no such task.

    >>> entry = {"question": "1+1?", "answer": "2", "metadata": {}}
    >>> problem = {"task": "chain_sum", "params": {}, "entry": entry}
    >>> score(problem, ["2"]), score(problem, ["none"]), score({**problem, "task": "none"}, ["2"])
    (1.0, 0.0, None)
    """
    try:
        dataset, entry = posed(json.dumps(problem, sort_keys=True))
    except Exception:
        return None
    return max(_score(dataset, entry, answer) for answer in answers)


@lru_cache(maxsize=1024)
def posed(problem: str) -> tuple[Any, Any]:
    """The task and the entry; one that has lost its tuples on its way here, as its own answer tells, gets them back."""
    parts = json.loads(problem)
    dataset, entry = _task(parts["task"], json.dumps(parts["params"])), parts["entry"]
    whole = not entry["answer"] or _score(dataset, entry, entry["answer"]) >= 1
    return dataset, entry if whole else _with_tuples(entry)


def _with_tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_tuples(item) for key, item in value.items()}
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value


@lru_cache(maxsize=256)
def _task(name: str, params: str) -> Any:
    import reasoning_gym

    return reasoning_gym.create_dataset(name, **json.loads(params))


def _score(dataset: Any, entry: Any, answer: str) -> float:
    if _evaluates(type(dataset).__module__) and not is_harmless(answer):
        return 0.0
    try:
        value = float(dataset.score_answer(answer, entry))
    except (Exception, MemoryError):  # verifiers raise all kinds of things on nonsense
        return 0.0
    return value if math.isfinite(value) else 0.0


@lru_cache(maxsize=256)
def _evaluates(module: str) -> bool:
    """Whether a task's module evaluates texts, be it the answer."""
    return EVALUATES.search(inspect.getsource(sys.modules[module])) is not None


def is_harmless(answer: str) -> bool:
    """Whether Python may evaluate it: a literal, or arithmetic that calls nothing but functions of mathematics.

    >>> [is_harmless(text) for text in ("['a', 'open(1)']", "(3 + 4) * sin(x)", "open('x')", "(1).real")]
    [True, True, False, False]
    """
    try:
        ast.literal_eval(answer)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        calls = all(_is_mathematics(call) and not attribute for call, attribute in CALLED.findall(answer))
        return calls and "__" not in answer and "lambda" not in answer
    return True


def _is_mathematics(called: str) -> bool:
    return called in HARMLESS or (len(called) == 1 and called.islower())


def judged(request: Mapping[str, Any]) -> float | None:
    return score(request["problem"], request["answers"])


def prepare() -> None:
    import reasoning_gym  # noqa: F401

    leave_the_huge_symbolic()


def main() -> None:
    serve(prepare, judged)
