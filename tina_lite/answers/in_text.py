"""The answer of a text that has neither box nor tags: the one that it announces, else its last number.

Only what is plain is judged; at any doubt math-verify is asked, whose reading of free text this follows.
"""

import re

from tina_lite.answers.finding import ANSWER_FOLLOWS, bare, is_sane
from tina_lite.answers.numbers import Number, read_number
from tina_lite.answers.reading import is_text, one_spelling, plain, read_option, same

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


def right_in_text(gold: str, text: str) -> bool | None:
    """Whether a text without box or tags states the gold; None: ask math-verify.

    >>> [right_in_text("34", text) for text in ("66+38=104, so 34.", "The answer is 34. Not 35.", "34 or 35")]
    [True, True, False]
    >>> right_in_text("B", "The answer is B."), right_in_text("Paris", "</think>\\nParis.")
    (True, True)
    >>> right_in_text("2", "The answer is 2 2/3"), right_in_text("4", r"it is $2^2$")
    (False, None)
    """
    said = _final_part(text)
    if any(same(gold, stated) for stated in (_announced_in(said), said) if is_sane(stated)):
        return True
    expected = plain(gold)
    if is_text(expected) or read_option(expected):
        return False
    if LATEX.search(said) or not read_number(expected):
        return None
    number = _last_token(said)
    if number is None:
        return None if re.search(r"\d", said) else False
    return same(gold, number) is True


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


def number_stated(text: str) -> Number | None:
    """The number that a text without box or tags plainly ends in or announces; None where it does not.

    >>> number_stated("66+38=104, so 34.").value, number_stated("none"), number_stated("x^2")
    (Fraction(34, 1), None, None)
    """
    said = _final_part(text)
    return None if LATEX.search(said) else read_number(plain(_last_token(said) or ""))


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
