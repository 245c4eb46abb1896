"""What kind of thing an answer is. A kind that is known is compared as that kind only; the rest is a Formula."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from importlib.util import find_spec
from typing import Any


@dataclass(frozen=True, slots=True)
class Number:
    value: Fraction
    """Of 9% it is 9."""
    rounded: bool = False
    """Whether it is written as a decimal, and so may stand for a number near it."""
    percent: bool = False
    unit: str = ""
    name: str = ""
    """What it is said to be the value of, such as the x of x = 5."""


@dataclass(frozen=True, slots=True)
class Date:
    parts: tuple[int, ...]
    """Year, month, day; or the three numbers as they stand, where nobody can tell which is which."""
    order_known: bool = True


@dataclass(frozen=True, slots=True)
class TimeOfDay:
    seconds: int
    half: str = ""
    """am, pm or unknown."""


@dataclass(frozen=True, slots=True)
class Span:
    """Spans from one number to another, as 10-20; it is never their difference."""

    low: Number
    high: Number


@dataclass(frozen=True, slots=True)
class Ratio:
    parts: tuple[Fraction, ...]


@dataclass(frozen=True, slots=True)
class InBase:
    digits: str
    base: int


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the choices of a question, A to J, perhaps with what it says."""

    letter: str
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class Words:
    text: str
    """In lower case, with single spaces; lines stay lines."""


@dataclass(frozen=True, slots=True)
class Several:
    """Holds the items of a list, set, tuple or interval."""

    items: tuple["Kind", ...]
    brackets: str = ""
    """The opening and the closing one, as `()`, `[)` or `{}`; empty for a bare list."""
    as_decimal: str = ""
    """The same as a decimal number, where its comma may be a decimal comma."""


@dataclass(frozen=True, slots=True)
class Formula:
    """Anything else: only math-verify can compare it."""

    text: str


Kind = Number | Date | TimeOfDay | Span | Ratio | InBase | Choice | Words | Several | Formula


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
