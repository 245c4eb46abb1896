"""The answer of a text that has neither box nor tags: the one that it announces, else its last number.

Only what is plain is judged; at any doubt math-verify is asked, whose reading of free text this follows.
"""

import re

from tina_lite.answers.answer_types import Date, Formula, Kind, Number, Span, Words
from tina_lite.answers.equivalence import same
from tina_lite.answers.extraction import ANSWER_FOLLOWS, bare, is_sane
from tina_lite.answers.parsing import kind_of, one_spelling

LONGEST_TEXT = 2000
"""Characters of a text that is searched here."""
FARTHEST_NUMBER = 50
"""Characters from "answer" to the number that it announces."""
ANNOUNCED = re.compile(r"\banswer\b(?:\s+is\b)?[\s:*]*(?:=\s*)?([^\n]*)", re.IGNORECASE)
SENTENCE_END = re.compile(r"[.!?;](?:\s|\*|$)|,\s")
TOKEN = re.compile(
    r"(?:\d{4}-\d{1,2}-\d{1,2}|\d{1,2}/\d{1,2}/\d{4}|\d{1,2}:\d{2}(?:\s*[apAP]\.?[mM]\b)?|\d+\s*-\s*\d+(?=\D|$))"
    r"|(?:[-+]?[$€£¥₹]?(?:\d+\s+\d+\s*/\s*\d+|(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?(?:[eE][-+]?\d+(?!\w))?"
    r"(?:\s*/\s*\d+)?|\.\d+)\s*(?:%|percent)?)"
)
LATEX = re.compile(r"[\\$\[{]")
OPERATOR_BEFORE = re.compile(r"(?:[\w.)]|[\^*/+(×÷·-]\s*)$")  # noqa: RUF001
OPERATOR_BEHIND = re.compile(r"\s*(?:[=^*/+(×÷·]|-\s*\d|[A-Za-z]\^)")  # noqa: RUF001


def right_in_text(gold: Kind, text: str) -> bool | None:
    """Whether a text without box or tags states the gold; None: ask math-verify.

    >>> [right_in_text(kind_of("34"), text) for text in ("66+38=104, so 34.", "The answer is 34. Not 35.", "34 or 35")]
    [True, True, False]
    >>> right_in_text(kind_of("B"), "The answer is B."), right_in_text(kind_of("Paris"), "</think>\\nParis.")
    (True, True)
    >>> right_in_text(kind_of("2"), "The answer is 2 2/3"), right_in_text(kind_of("4"), r"it is $2^2$")
    (False, None)
    """
    said = _final_part(text)
    announced = _announced_in(said)
    for stated in (announced, said):
        if stated and is_sane(stated):
            kind = kind_of(stated)
            if not isinstance(kind, Formula) and same(gold, kind):
                return True
    if not isinstance(gold, Number):
        return None if isinstance(gold, Formula) or _may_be_formula(gold, said) else False
    return _number_in(gold, said)


def _final_part(text: str) -> str:
    said = one_spelling(ANSWER_FOLLOWS.split(text)[-1][-2 * LONGEST_TEXT :])[-LONGEST_TEXT:]
    return said.replace(r"\$", "").replace(r"\%", "%")


def announced_answer(text: str) -> str:
    """Find the answer that a text announces; empty where it announces none.

    >>> announced_answer("So the answer is Paris. Or not."), announced_answer("Paris")
    ('Paris', '')
    """
    return _announced_in(_final_part(text))


def _announced_in(text: str) -> str:
    """What follows the last "answer is" or "answer:", to the end of its sentence."""
    found = ANNOUNCED.findall(text)
    if not found:
        return ""
    line = found[-1]
    end = SENTENCE_END.search(line)
    return bare((line[: end.start()] if end else line).strip("* "))


def _may_be_formula(gold: Kind, text: str) -> bool:
    return not isinstance(gold, Words | Date | Span) and LATEX.search(text) is not None


def _number_in(gold: Number, text: str) -> bool | None:
    if LATEX.search(text):
        return None
    stated = _last_token(text)
    if stated is None:
        return None if re.search(r"\d", text) else False
    kind = kind_of(stated)
    return same(gold, kind) is True


def number_stated(text: str) -> Number | None:
    """The number that a text without box or tags plainly ends in or announces; None where it does not.

    >>> number_stated("66+38=104, so 34.").value, number_stated("none"), number_stated("x^2")
    (Fraction(34, 1), None, None)
    """
    said = _final_part(text)
    kind = kind_of((not LATEX.search(said) and _last_token(said)) or "")
    return Number(kind.value, percent=kind.percent) if isinstance(kind, Number) else None


def _last_token(text: str) -> str | None:
    """The number, date, time or range that the text announces, else the last; None where it is part of a sum."""
    last = None
    announced = list(ANNOUNCED.finditer(text))
    if announced:
        last = TOKEN.search(text, announced[-1].start(1), announced[-1].start(1) + FARTHEST_NUMBER)
    if last is None:
        for match in TOKEN.finditer(text):
            last = match
    if last is None or OPERATOR_BEFORE.search(text[max(0, last.start() - 3) : last.start()]):
        return None
    return None if OPERATOR_BEHIND.match(text, last.end()) else last.group()
