"""Plain numbers, judged as math-verify would judge them, without sympy.

Most golds of the arithmetic and word-problem sets are plain numbers. What this module is not sure of it leaves to
math-verify; the tests compare the two on generated numbers and texts.
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

PLAIN = re.compile(r"(-?)(?:\\?\$)?((?:[1-9]\d{0,2}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Number:
    """A number as written."""

    value: Fraction
    decimal: bool
    """Written with a decimal point."""


def plain_number(text: str) -> Number | None:
    r"""An integer or a decimal, perhaps with thousands separators and a leading dollar sign.

    Percentages are not plain: 9% is 9 to math-verify, 100% is 1, and -9% is not -9.

    >>> plain_number(r"-\$1,250.5"), plain_number("12,34"), plain_number("1e5")
    (Number(value=Fraction(-2501, 2), decimal=True), None, None)
    """
    match = PLAIN.fullmatch(text) if len(text) <= LONGEST_NUMBER else None
    if match is None:
        return None
    sign, digits = match.groups()
    return Number(Fraction(sign + digits.replace(",", "")), "." in digits)


def same_number(gold: Number, answer: Number) -> bool | None:
    """Whether math-verify takes the two for equal; None where this module is not sure.

    >>> same_number(plain_number("27"), plain_number("27.0"))
    True
    >>> same_number(plain_number("34"), plain_number("35")), same_number(plain_number("1"), plain_number("1.000001"))
    (False, None)
    """
    if gold.value == answer.value:
        return True
    clear = not (gold.decimal or answer.decimal) or abs(gold.value - answer.value) > CLEARLY_APART
    return False if clear else None


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
