"""What kind of thing an answer is. A kind that is known is compared as that kind only; the rest is a Formula."""

from dataclasses import dataclass
from fractions import Fraction


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
class Clock:
    seconds: int
    half: str = ""
    """am, pm or unknown."""


@dataclass(frozen=True, slots=True)
class Span:
    """From one number to another, as 10-20; never their difference."""

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
class Option:
    """One of the choices of a question, A to J, perhaps with what it says."""

    letter: str
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class Words:
    text: str
    """In lower case, with single spaces; lines stay lines."""


@dataclass(frozen=True, slots=True)
class Several:
    """A list, set, tuple or interval."""

    items: tuple["Kind", ...]
    brackets: str = ""
    """The opening and the closing one, as `()`, `[)` or `{}`; empty for a bare list."""
    as_decimal: str = ""
    """The same as a decimal number, where its comma may be a decimal comma."""


@dataclass(frozen=True, slots=True)
class Formula:
    """Anything else: only math-verify can compare it."""

    text: str


Kind = Number | Date | Clock | Span | Ratio | InBase | Option | Words | Several | Formula
