"""Numbers as people write them: thousands, decimals, fractions, mixed numbers, powers of ten, percent, units."""

import re
from fractions import Fraction

from tina_lite.answers.kinds import Number
from tina_lite.answers.units import CURRENCIES, read_unit

LONGEST_NUMBER = 100
"""Characters. What is longer is left to math-verify."""
LARGEST_EXPONENT = 1000
DIGITS = r"(?:\d{1,3}(?:,\d{3})+(?![\d,])(?:\.\d+)?|\d+(?:\.\d*)?|\.\d+)"
_TEN = r"10\s*\^\s*(?:\{\s*([-+]?\d{1,4})\s*\}|(\d))"
_SIGN = r"([-+]?)\s*"
PLUS_MINUS_ONE = {"": 1, "+": 1, "-": -1}
LEADING = re.compile(rf"{_SIGN}(\\?[$€£¥₹₩₽])?\s*(-?)\s*")
MIXED = re.compile(r"(\d+)\s*\\frac\s*\{\s*(\d+)\s*\}\s*\{\s*(\d+)\s*\}|(\d+)\s+(?:and\s+)?(\d+)\s*/\s*(\d+)")
FRACTION = re.compile(
    rf"\\frac\s*\{{\s*([-+]?{DIGITS})\s*\}}\s*\{{\s*([-+]?{DIGITS})\s*\}}|\\frac\s*(\d)\s*(\d)"
    rf"|({DIGITS})\s*/\s*({DIGITS})"
)
DECIMAL = re.compile(
    rf"({DIGITS})(?:[eE]([-+]?\d{{1,4}})(?![\w.])|\s*(?:\\times|\\cdot|\*|[xX](?=\s*10\s*\^))\s*{_TEN})?"
)
POWER_OF_TEN = re.compile(_TEN)
PERCENT = re.compile(r"\s*(?:\\?%|(?:\\text\s*\{\s*)?per\s?cent(?:age)?(?:\s+points?)?\s*\}?)", re.IGNORECASE)


def read_number(text: str) -> Number | None:
    r"""A number alone, with its percent sign or unit.

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
    sign = PLUS_MINUS_ONE[leading[1]] * PLUS_MINUS_ONE[leading[3]]
    behind = text[end:]
    percent = PERCENT.match(behind)
    if percent and not behind[percent.end() :].strip():
        return Number(sign * value, rounded, percent=True)
    unit = read_unit(behind)
    if unit is None:
        return None
    return Number(sign * value, rounded, unit=unit or (CURRENCIES[leading[2][-1]] if leading[2] else ""))


def _unsigned(text: str, start: int) -> tuple[Fraction, int, bool] | None:
    """Value, end, and whether it is a decimal."""
    if match := MIXED.match(text, start):
        whole, over, under = (int(digits) for digits in match.groups() if digits)
        return (Fraction(whole) + Fraction(over, under), match.end(), False) if under else None
    if match := FRACTION.match(text, start):
        over_digits, under_digits = (digits for digits in match.groups() if digits)
        divisor = digits_value(under_digits)
        return (digits_value(over_digits) / divisor, match.end(), "." in match.group()) if divisor else None
    if match := POWER_OF_TEN.match(text, start):
        return Fraction(10) ** _exponent(match[1] or match[2]), match.end(), False
    if match := DECIMAL.match(text, start):
        digits, *exponents = match.groups()
        power = next((exponent for exponent in exponents if exponent), "0")
        return digits_value(digits) * Fraction(10) ** _exponent(power), match.end(), "." in digits
    return None


def digits_value(text: str) -> Fraction:
    return Fraction(text.replace(",", "").replace(" ", "").rstrip("."))


def _exponent(digits: str) -> int:
    return max(-LARGEST_EXPONENT, min(LARGEST_EXPONENT, int(digits)))
