"""Plain numbers, judged as math-verify would judge them, without sympy.

Most golds of the arithmetic and word-problem sets are plain numbers. What this module is not sure of it leaves to
math-verify; the tests compare the two on generated numbers and texts. On purpose it is stricter in two things:
math-verify takes all numbers near 0 for equal, and 52 in base 8 for 52 in base 9.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

LONGEST_NUMBER = 24
"""Characters. Longer ones go to math-verify, which rounds to 15 digits."""
LONGEST_TEXT = 512
"""Characters of a text without a box that is searched here: the patterns below can take quadratic time."""
CLEARLY_APART = Fraction(1, 10_000)
"""Math-verify rounds decimals to 6 places; numbers further apart than this differ beyond doubt."""

CLEARLY_APART_SHARE = Fraction(1, 1000)
"""Of the gold: for numbers that are small themselves."""

PLAIN = re.compile(
    r"(-?)(?:\\?\$)?((?:[1-9]\d{0,2}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+)"
    r"(?:\s*\\(?:times|cdot)\s*10\^(?:\{(-?\d{1,3})\}|(\d)))?",
    re.ASCII,
)
IN_BASE = re.compile(r"0*([0-9A-Z]+)_(?:\{(\d{1,2})\}|(\d{1,2}))", re.ASCII)


@dataclass(frozen=True, slots=True)
class Number:
    """A number as written."""

    value: Fraction
    decimal: bool
    """Written with a decimal point or a power of ten."""


def plain_number(text: str) -> Number | None:
    r"""An integer or a decimal, perhaps with thousands separators, a leading dollar sign and a power of ten.

    Percentages are not plain: 9% is 9 to math-verify, 100% is 1, and -9% is not -9.

    >>> plain_number(r"-\$1,250.5"), plain_number("12,34"), plain_number("1e5")
    (Number(value=Fraction(-2501, 2), decimal=True), None, None)
    >>> plain_number(r"6.5 \times 10^{-2}")
    Number(value=Fraction(13, 200), decimal=True)
    """
    match = PLAIN.fullmatch(text) if len(text) <= LONGEST_NUMBER else None
    if match is None:
        return None
    sign, digits, power, digit = match.groups()
    value = Fraction(sign + digits.replace(",", ""))
    ten = power or digit
    return Number(value * Fraction(10) ** int(ten), True) if ten else Number(value, "." in digits)


def same_number(gold: Number, answer: Number) -> bool | None:
    """Whether math-verify takes the two for equal; None where this module is not sure.

    >>> same_number(plain_number("27"), plain_number("27.0"))
    True
    >>> same_number(plain_number("34"), plain_number("35")), same_number(plain_number("1"), plain_number("1.000001"))
    (False, None)
    """
    if gold.value == answer.value:
        return True
    apart = abs(gold.value - answer.value)
    least = min(CLEARLY_APART, CLEARLY_APART_SHARE * abs(gold.value))
    return False if apart > least or not (gold.decimal or answer.decimal) else None


def same_in_base(gold: str, answer: str) -> bool | None:
    """Whether two numbers with their bases are the same; None where one of the two is no such number.

    >>> same_in_base("52_8", "52_{8}"), same_in_base("52_8", "52_9"), same_in_base("52_8", "52")
    (True, False, None)
    """
    expected, given = IN_BASE.fullmatch(gold), IN_BASE.fullmatch(answer)
    if not expected or not given:
        return None
    return expected[1] == given[1] and (expected[2] or expected[3]) == (given[2] or given[3])


# From here: the part of math-verify 0.9.0 (parser.py, lazy_expr_regex; Apache-2.0) that finds a number in plain text.
_NUMBER = (
    r"(?<!\d)(?:(?P<integer1>-?[1-9]\d{0,2}(?:[ ,]\d{3})+)(?P<decimal1>\.\d+)?|(?P<integer2>-?\d+)(?P<decimal2>[.,]\d+)"
    r"|(?P<decimal3>\.\d+)|(?P<integer3>-?\d+))(?P<percent>\s*(?:%|[Pp]ercent|\s*[Pp]ercentage|\s*[Pp]ct))?"
)
_OPERATORS = r"\+\-\*\×\/\^\(\)\÷"  # noqa: RUF001 (as in the original)
_ANY = rf"[\d\.\s{_OPERATORS}]"
_EXPRESSION = rf"(?P<expr>-?\(?-?\d{_ANY}*[{_OPERATORS}]{_ANY}+\)?)"
_PREFIX = r"(?:^|\s|\=)(?:\*\*)?"
_SUFFIX = r"(?:\*\*)?(?:\.|,|:|\s|\)|\$|$)"
_CURRENCY = "[$€£¥₹₽₪₩₫฿₡₢₣₤₥₦₧₨₩₪₫₭₮₯₰₱₲₳₴₵₶₷₸₹₺₻₼₽₾₿]"
_EXPRESSION_ALONE = rf"(?:{_PREFIX}{_EXPRESSION}{_SUFFIX})"
_NUMBER_ALONE = rf"(?:{_PREFIX}{_CURRENCY}?{_NUMBER})"
_EITHER = rf"(?:{_EXPRESSION_ALONE}|{_NUMBER_ALONE})"

PATTERNS = tuple(
    tuple(map(re.compile, patterns))
    for patterns in (
        (rf"(?i:answer):(?:.{{0,100}}=\s*|.{{0,50}}?){_EITHER}(?!\s*=)",),
        (rf"(?i:answer)(?:.{{0,100}}=\s*|.{{0,50}}?){_EITHER}(?!\s*=)",),
        (_EXPRESSION_ALONE, _NUMBER_ALONE),
    )
)
"""In the order in which math-verify tries them. The match that ends last wins, then the one that starts first."""
NEEDS_MATH_VERIFY = re.compile(r"[\\$\[]|final answer", re.IGNORECASE)
"""LaTeX, or the two anchors that are not copied here."""


def number_in_text(text: str) -> Number | Literal[False] | None:
    """The number that math-verify would take from a text; False where it would find none, None where not sure.

    >>> number_in_text("66+38=104, so the answer is 104.").value, number_in_text("Wait, check again.")
    (Fraction(104, 1), False)
    """
    if len(text) > LONGEST_TEXT or NEEDS_MATH_VERIFY.search(text):
        return None
    for patterns in PATTERNS:
        matches = [match for pattern in patterns for match in pattern.finditer(text)]
        if matches:
            return _value(max(matches, key=lambda match: (match.end(), -match.start())))
    return False


def _value(match: re.Match[str]) -> Number | None:
    found = match.groupdict()
    if found.get("expr") or found.get("percent"):
        return None
    integer = found.get("integer1") or found.get("integer2") or found.get("integer3") or ""
    decimal = found.get("decimal1") or found.get("decimal2") or found.get("decimal3") or ""
    digits = integer.replace(",", "").replace(" ", "") + decimal.replace(",", ".")
    return Number(Fraction(digits), bool(decimal)) if len(digits) <= LONGEST_NUMBER else None
