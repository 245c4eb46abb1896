"""Numbers as people write them: thousands, decimals, fractions, powers of ten, percent; units, which pint knows."""

import re
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cache, lru_cache
from typing import Any


@dataclass(frozen=True, slots=True)
class Number:
    value: Fraction
    """Of 9% it is 9."""
    rounded: bool = False
    """Whether it is written as a decimal, and so may stand for a number near it."""
    percent: bool = False
    unit: str = ""

    @property
    def digits(self) -> str:
        """Decimals where they end soon."""
        ends_soon = 10**DECIMALS % self.value.denominator == 0
        return str(Decimal(self.value.numerator) / self.value.denominator) if ends_soon else str(self.value)


FUNCTIONS = frozenset("sin cos tan cot sec csc log exp sqrt frac mod ln pi max min gcd lcm".split())
LONGEST_NUMBER = 100
"""Characters. What is longer is left to math-verify."""
LARGEST_EXPONENT = 1000
DIGITS = r"(?:\d{1,3}(?:,\d{3})+(?![\d,])(?:\.\d+)?|\d+(?:\.\d*)?|\.\d+)"
_TEN = r"10\s*\^\s*(?:\{\s*([-+]?\d{1,4})\s*\}|(\d))"
LEADING = re.compile(r"=?\s*([-+]?)\s*(\\?[$€£¥₹₩])?\s*(-?)\s*")
MIXED = re.compile(r"(\d+)\s*\\frac\s*\{\s*(\d+)\s*\}\s*\{\s*(\d+)\s*\}|(\d+)\s+(?:and\s+)?(\d+)\s*/\s*(\d+)")
QUOTIENT = re.compile(
    rf"\\frac\s*\{{\s*([-+]?{DIGITS})\s*\}}\s*\{{\s*([-+]?{DIGITS})\s*\}}|\\frac\s*(\d)\s*(\d)"
    rf"|({DIGITS})\s*/\s*({DIGITS})"
)
DECIMAL = re.compile(
    rf"({DIGITS})(?:[eE]([-+]?\d{{1,4}})(?![\w.])|\s*(?:\\times|\\cdot|\*|[xX](?=\s*10\s*\^))\s*{_TEN})?"
)
POWER_OF_TEN = re.compile(_TEN)
PERCENT = re.compile(r"\s*(?:\\?%|per\s?cent(?:age)?(?:\s+points?)?)", re.IGNORECASE)


def read_number(text: str) -> Number | None:
    r"""Read a number that stands alone, with its percent sign or unit.

    >>> read_number(r"\$1,250.50").value, read_number("-3/4").value, read_number(r"6.5 \times 10^{-2}").value
    (Fraction(2501, 2), Fraction(-3, 4), Fraction(13, 200))
    >>> read_number("5x"), read_number("1,23"), read_number("3 - 2"), read_number("2 2/3").value
    (None, None, None, Fraction(8, 3))
    """
    if text.startswith("(") and text.endswith(")") and "(" not in text[1:]:
        text = text[1:-1].strip()
    leading = LEADING.match(text)
    if leading is None or len(text) > LONGEST_NUMBER:
        return None
    read = _unsigned(text, leading.end())
    if read is None:
        return None
    value, end, rounded = read
    value *= -1 if "-" in leading[1] + leading[3] and leading[1] != leading[3] else 1
    behind = text[end:]
    if (percent := PERCENT.match(behind)) and not behind[percent.end() :].strip():
        return Number(value, rounded, percent=True)
    unit = read_unit(behind)
    return None if unit is None else Number(value, rounded, unit=unit or MONEY.get((leading[2] or "")[-1:], ""))


def _unsigned(text: str, start: int) -> tuple[Fraction, int, bool] | None:
    """Value, end, and whether it is a decimal."""
    if match := MIXED.match(text, start):
        whole, over, under = (int(digits) for digits in match.groups() if digits)
        return (Fraction(whole) + Fraction(over, under), match.end(), False) if under else None
    if match := QUOTIENT.match(text, start):
        over_digits, under_digits = (digits for digits in match.groups() if digits)
        divisor = _value(under_digits)
        return (_value(over_digits) / divisor, match.end(), "." in match.group()) if divisor else None
    if match := POWER_OF_TEN.match(text, start):
        return Fraction(10) ** _exponent(match[1] or match[2]), match.end(), False
    if match := DECIMAL.match(text, start):
        digits, *exponents = match.groups()
        power = next((exponent for exponent in exponents if exponent), "0")
        return _value(digits) * Fraction(10) ** _exponent(power), match.end(), "." in digits
    return None


def _value(digits: str) -> Fraction:
    return Fraction(digits.replace(",", "").replace(" ", "").rstrip("."))


def _exponent(digits: str) -> int:
    return max(-LARGEST_EXPONENT, min(LARGEST_EXPONENT, int(digits)))


MONEY = {
    name: names.split()[0]
    for names in (
        "dollar dollars usd $",
        "euro euros eur €",
        "pound gbp £",
        "yen jpy ¥",
        "rupee rupees inr ₹",
        "won ₩",
        "ruble ₽",
    )
    for name in names.split()
}
ATTACHED = frozenset("mm cm dm km mg kg ml cl in ft yd mi lb oz hz khz mhz kw kwh kph mph kmh".split())
"""Units of two letters or more that a number may have without a space between."""
LONE = frozenset("mglshtnjwvNJWVL")
POWER = re.compile(r"\s*\^\s*\{?\s*(-?\d)\s*\}?")
REMARK = re.compile(r"^\s*\(\s*([A-Za-z ]{2,})\)\s*$")
DEGREES = re.compile(r"\^\s*\\circ\s*([CFK])?|degrees?\s+([CF])(?:elsius|ahrenheit)|degrees?", re.IGNORECASE)
A_UNIT = re.compile(r"[A-Za-z'.]+(?:\^-?\d)?(?:[\s/*-]+[A-Za-z'.]+(?:\^-?\d)?){0,5}")


def read_unit(behind: str) -> str | None:
    r"""The unit that stands behind a number; empty where nothing does, None where it is no unit.

    A single letter is a unit after a space alone: `5m` is five times m.

    >>> [read_unit(text) for text in (" eggs", " cm^{2}", "km", " square meters", r"^\circ C", " m")]
    ['eggs', 'cm^2', 'km', 'square meters', 'degC', 'm']
    >>> [read_unit(text) for text in ("x", "m", r"\pi", "+ 3", " sin x", r"^2", " and 3")]
    [None, None, None, None, None, None, None]
    """
    if not behind or behind.isspace():
        return ""
    behind = REMARK.sub(r" \1", behind)
    unit = POWER.sub(r"^\1", behind.replace(r"~", " ").replace(r"\cdot", " ")).strip()
    if degrees := DEGREES.fullmatch(unit):
        return "deg" + (degrees[1] or degrees[2] or "").upper()
    if unit in MONEY:
        return MONEY[unit]
    first = re.split(r"[\s^/.']", unit)[0]
    if not A_UNIT.fullmatch(unit) or first.lower() in FUNCTIONS | {"and", "or", "the", "for", "all", "where", "not"}:
        return None
    stands = (len(first) > 1 or first in LONE) if behind[0].isspace() else first.lower() in ATTACHED
    return MONEY.get(unit.lower(), unit.replace(".", "")) if stands else None


@cache
def _pint() -> Any:
    import pint  # half a second

    return pint.UnitRegistry()


@lru_cache(maxsize=4096)
def _known_unit(unit: str) -> Any:
    """Pint's unit of that name; None where it has none."""
    for name in dict.fromkeys((unit, unit.lower())):
        try:
            return _pint().parse_units(name)
        except Exception:  # it raises all kinds of things on what is no unit
            continue
    return None


def _in_unit_of(gold: Number, answer: Number) -> Fraction | None:
    """The answer's value in the gold's unit; None where it has another kind of unit.

    >>> [_in_unit_of(Number(Fraction(2), unit="hours"), Number(Fraction(120), unit=u)) for u in ("min", "eggs", "m")]
    [Fraction(2, 1), Fraction(120, 1), None]
    """
    if not gold.unit or not answer.unit or gold.unit == answer.unit:
        return answer.value
    money = gold.unit in MONEY, answer.unit in MONEY
    if all(money):
        return None
    wanted, given = _known_unit(gold.unit), _known_unit(answer.unit)
    if any(money):
        return None if (given if money[0] else wanted) is not None else answer.value
    if wanted is None or given is None:
        return answer.value
    try:
        return Fraction(_pint().Quantity(float(answer.value), given).to(wanted).magnitude).limit_denominator(10**9)
    except Exception:  # of another dimension, or without a zero in common
        return None


def unlike_units(gold: Number, answer: Number) -> bool:
    """Whether the one is of a unit that cannot be the other's, as metres and hours, or euros and dollars."""
    return _in_unit_of(gold, answer) is None


DECIMALS = 6
"""To which decimals are compared, as in math-verify."""
NEAR = Fraction(1, 100_000)
"""Of a gold: numbers that are farther apart are not equal, however many zeros they share."""


def same_numbers(gold: Number, answer: Number) -> bool:
    """By value and unit; a decimal may be the other rounded to six places, a percentage the share it stands for.

    A percentage is also its bare number, as most golds leave the sign out; one below 1 would be taken for a share.

    >>> [same_numbers(read_number("1/3"), read_number(text)) for text in ("0.333333", "0.3333", "1/3 cm")]
    [True, False, True]
    >>> [same_numbers(read_number(gold), read_number("50%")) for gold in ("0.5", "50", "500")]
    [True, True, False]
    """
    given = _in_unit_of(gold, answer)
    if given is None:
        return False
    rounded = gold.rounded or answer.rounded
    if (gold.percent == answer.percent or abs(gold.value) >= 1) and _near(gold.value, given, rounded):
        return True
    if gold.percent == answer.percent:
        return False
    return _near(gold.value / (100 if gold.percent else 1), given / (100 if answer.percent else 1), rounded)


def _near(gold: Fraction, answer: Fraction, rounded: bool) -> bool:
    if gold == answer:
        return True
    return rounded and abs(gold - answer) <= NEAR * abs(gold) and round(gold, DECIMALS) == round(answer, DECIMALS)
