"""When two answers are the same; where this module is not sure it says so, and math-verify is asked."""

from collections.abc import Sequence
from fractions import Fraction

from tina_lite.answers.answer_types import (
    Choice,
    Date,
    Formula,
    InBase,
    Kind,
    Number,
    Ratio,
    Several,
    Span,
    TimeOfDay,
    Words,
)
from tina_lite.answers.numbers import units_agree
from tina_lite.answers.parsing import kind_of

DECIMALS = 6
"""To which decimals are compared, as in math-verify."""
NEAR = Fraction(1, 100_000)
"""Of a gold: numbers that are farther apart are not equal, however many zeros they share."""
HALF_A_DAY = 12 * 60 * 60
OWN_KIND_ONLY = (Date, TimeOfDay, Span, Choice, Words)
ORDERED = ("()", "[]", "[)", "(]")


def same(gold: Kind, answer: Kind) -> bool | None:
    r"""Whether an answer is the gold; None: ask math-verify.

    >>> [same(kind_of("3, 5"), kind_of(text)) for text in ("5, 3", r"\{3, 5\}", "3", "3, 5, 7", "3, \\sqrt{25}")]
    [True, True, False, False, None]
    >>> [same(kind_of("2024-05-01"), kind_of(text)) for text in ("May 1, 2024", "2018", "2024-05-02")]
    [True, False, False]
    """
    if gold == answer and not isinstance(gold, Formula):
        return True
    if isinstance(answer, Several) and not isinstance(gold, Several) and answer.brackets in ("", "{}"):
        each = [same(gold, item) for item in answer.items]
        if all(each):  # the same, said twice
            return True
    if isinstance(gold, Number):
        return _same_as_number(gold, answer)
    if isinstance(gold, Several):
        return _same_as_several(gold, answer)
    if isinstance(gold, Choice):
        return _same_option(gold, answer)
    if isinstance(gold, Words) and isinstance(answer, Choice):
        return gold == kind_of(answer.meaning)
    if isinstance(gold, OWN_KIND_ONLY):
        return _same_in_kind(gold, answer)
    if isinstance(gold, Ratio):
        return _same_ratio(gold, answer)
    if isinstance(gold, InBase) and isinstance(answer, InBase):
        return False
    return _same_as_formula(gold, answer)


def _same_as_formula(gold: Kind, answer: Kind) -> bool | None:
    if isinstance(gold, Formula) and isinstance(answer, Formula) and gold.text == answer.text:
        return True
    return None


def _same_as_number(gold: Number, answer: Kind) -> bool | None:
    if isinstance(answer, Number):
        return same_numbers(gold, answer)
    if isinstance(answer, Choice):
        return bool(answer.meaning) and same(gold, kind_of(answer.meaning)) is True
    if isinstance(answer, Several):
        decimal = kind_of(answer.as_decimal)
        if isinstance(decimal, Number):
            return same_numbers(gold, decimal)
        return False if any(same(gold, item) is False for item in answer.items) else None
    if isinstance(answer, Formula | Span | InBase | Ratio):
        return None
    return False


def same_numbers(gold: Number, answer: Number) -> bool:
    """By value, unit and name; a decimal may be the other rounded to six places, a percentage the share it stands for.

    A percentage is also its bare number, as most golds leave the sign out; one below 1 would be taken for a share.

    >>> [same_numbers(kind_of("1/3"), kind_of(text)) for text in ("0.333333", "0.3333", "x = 1/3", "1/3 cm")]
    [True, False, True, True]
    >>> [same_numbers(kind_of(gold), kind_of("50%")) for gold in ("0.5", "50", "500")]
    [True, True, False]
    >>> same_numbers(kind_of("0.5"), kind_of("0.5%"))
    False
    """
    if gold.name and answer.name and gold.name != answer.name:
        return False
    if not units_agree(gold.unit, answer.unit):
        return False
    if (gold.percent == answer.percent or abs(gold.value) >= 1) and _near(gold, answer, gold.value, answer.value):
        return True
    if gold.percent == answer.percent:
        return False
    shares = [number.value / 100 if number.percent else number.value for number in (gold, answer)]
    return _near(gold, answer, *shares)


def _near(gold: Number, answer: Number, expected: Fraction, given: Fraction) -> bool:
    if expected == given:
        return True
    if not (gold.rounded or answer.rounded) or abs(expected - given) > NEAR * abs(expected):
        return False
    return round(expected, DECIMALS) == round(given, DECIMALS)


def _same_as_several(gold: Several, answer: Kind) -> bool | None:
    if not isinstance(answer, Several):
        doubtful = isinstance(answer, Formula) and not all(isinstance(item, Words | Choice) for item in gold.items)
        return None if doubtful else False
    if not _brackets_fit(gold.brackets, answer.brackets):
        return False
    if is_ordered(gold):
        return _all_same(gold.items, answer.items)
    return _same_set(gold.items, answer.items)


def _brackets_fit(gold: str, answer: str) -> bool:
    if gold == answer:
        return True
    if gold == "()":
        return answer in ("", "{}")
    return gold in ("", "{}") and answer in ("", "{}", "()", "[]")


def is_ordered(several: Several) -> bool:
    """A bare list of words is: what to sort, to reverse, to spell."""
    said = [item for item in several.items if isinstance(item, Words)]
    return several.brackets in ORDERED or (several.brackets == "" and bool(said))


def _all_same(golds: Sequence[Kind], answers: Sequence[Kind]) -> bool | None:
    if len(golds) != len(answers):
        return False
    each = [same(gold, answer) for gold, answer in zip(golds, answers, strict=True)]
    return False if False in each else None if None in each else True


def _same_set(golds: Sequence[Kind], answers: Sequence[Kind]) -> bool | None:
    """Each gold has its answer and each answer its gold; in doubt about one, in doubt about all."""
    golds, answers = tuple(dict.fromkeys(golds)), tuple(dict.fromkeys(answers))
    table = [[same(gold, answer) for answer in answers] for gold in golds]
    columns = list(zip(*table, strict=True))
    found = [True if True in line else None if None in line else False for line in (*table, *columns)]
    return False if False in found else None if None in found else True


def _same_option(gold: Choice, answer: Kind) -> bool:
    if isinstance(answer, Choice):
        contrary = gold.meaning and answer.meaning and same(kind_of(gold.meaning), kind_of(answer.meaning)) is False
        return gold.letter == answer.letter and not contrary
    if isinstance(answer, Formula):
        return answer.text == gold.letter.lower()
    return bool(gold.meaning) and same(kind_of(gold.meaning), answer) is True


def _same_in_kind(gold: Kind, answer: Kind) -> bool:
    if isinstance(gold, Span) and isinstance(answer, Span):
        return same_numbers(gold.low, answer.low) and same_numbers(gold.high, answer.high)
    if isinstance(gold, TimeOfDay) and isinstance(answer, TimeOfDay):
        open_half = answer.half and not gold.half
        return gold.seconds == answer.seconds or (bool(open_half) and (answer.seconds - gold.seconds) % HALF_A_DAY == 0)
    if isinstance(gold, Words) and isinstance(answer, Formula):
        return gold.text == answer.text.casefold()
    return False


def _same_ratio(gold: Ratio, answer: Kind) -> bool | None:
    if isinstance(answer, Ratio) and len(gold.parts) == len(answer.parts):
        return all(
            one * answer.parts[-1] == other * gold.parts[-1]
            for one, other in zip(gold.parts, answer.parts, strict=True)
        )
    if isinstance(answer, Number) and len(gold.parts) == 2 and gold.parts[1]:
        return answer.value == gold.parts[0] / gold.parts[1]
    return None if isinstance(answer, Formula) else False
