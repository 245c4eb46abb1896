"""Why an answer counts as right or wrong, in words: what was taken as the answer, how both sides were read."""

from dataclasses import dataclass
from decimal import Decimal
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
    Verifier,
    Words,
)
from tina_lite.answers.equivalence import is_ordered, same
from tina_lite.answers.extraction import bare, boxed_answer, final_answer, last_boxed, stated_answer, tagged_answer
from tina_lite.answers.in_text import announced_answer, number_stated
from tina_lite.answers.numbers import units_agree
from tina_lite.answers.parsing import kind_of

LISTS = {"": "a list", "()": "a tuple", "{}": "a set", "[]": "a closed interval or list"}


@dataclass(frozen=True, slots=True)
class Explanation:
    answer: str
    """What was taken as the answer; empty where nothing was."""
    taken_from: str
    read_as: str
    gold: str
    gold_read_as: str
    why: str
    """Why it is right or wrong."""


def explain(text: str, gold: str, right: bool | None, verifier: Verifier | None = None) -> Explanation:
    r"""Explain one completion against one gold, or a verifier; `right` is the verdict of the accuracy reward.

    >>> explain(r"so \boxed{5 m}", "5 cm", False).why, explain("hm", "3", False).why
    ('the units differ: m for cm', 'no answer was found in the text')
    >>> explain(r"\boxed{3, 5}", "5, 3, 7", False).why
    '2 items for 3'
    """
    answer, taken_from = _taken(text)
    if verifier is not None:
        task = f"the verifier of {verifier['task']}"
        example = f"an example of a right answer; {task} judges"
        return Explanation(answer, taken_from, "it stands", gold, example, _verdict_of(task, right))
    expected, given = kind_of(final_answer(gold)), kind_of(answer)
    read_as = describe(given) if answer else "nothing"
    return Explanation(answer, taken_from, read_as, gold, describe(expected), _why(expected, given, answer, right))


def _taken(text: str) -> tuple[str, str]:
    boxed, tagged = boxed_answer(text), tagged_answer(text)
    if boxed is not None:
        alone = boxed == (last_boxed(text) or "").strip()
        return bare(boxed), "the last box" if alone else "the boxes of the last statement"
    if tagged is not None:
        return bare(tagged), "the last <answer> tags"
    whole, announced, number = stated_answer(text), announced_answer(text), number_stated(text)
    if announced and not isinstance(kind_of(announced), Formula):
        return announced, "what the text announces"
    if len(whole.split()) <= 3 and not isinstance(kind_of(whole), Formula):
        return whole, "all of the text behind its thoughts"
    if number is not None:
        return _number(number.value), "the last number of the text"
    return "", "nowhere"


def _verdict_of(judge: str, right: bool | None) -> str:
    if right is None:
        return f"{judge} is not at hand, so there is no opinion"
    return f"{judge} accepts it" if right else f"{judge} does not give it a full score"


def _why(gold: Kind, answer: Kind, text: str, right: bool | None) -> str:
    if right is None:
        return "the gold cannot be read as an answer, so there is no opinion"
    if not text and not right:
        return "no answer was found in the text"
    if same(gold, answer) is None:
        return f"math-verify finds them {'equal' if right else 'different'}"
    if right:
        return "they are the same"
    return difference(gold, answer)


def difference(gold: Kind, answer: Kind) -> str:
    """What tells two answers apart.

    >>> difference(kind_of("x = 5"), kind_of("y = 5")), difference(kind_of("(1, 2)"), kind_of("(2, 1)"))
    ('it is the value of y, not of x', 'item 1, where order counts: another number')
    >>> difference(kind_of("2024-05-01"), kind_of("2018"))
    'a date is wanted, not a number'
    """
    if isinstance(gold, Number) and isinstance(answer, Number):
        return _difference_of_numbers(gold, answer)
    if isinstance(gold, Several) and isinstance(answer, Several):
        return _difference_of_lists(gold, answer)
    if type(gold) is type(answer):
        return f"another {_name(gold)}"
    return f"{_article(_name(gold))} is wanted, not {_article(_name(answer))}"


def _difference_of_numbers(gold: Number, answer: Number) -> str:
    if gold.name and answer.name and gold.name != answer.name:
        return f"it is the value of {answer.name}, not of {gold.name}"
    if not units_agree(gold.unit, answer.unit):
        return f"the units differ: {answer.unit} for {gold.unit}"
    return "another number"


def _difference_of_lists(gold: Several, answer: Several) -> str:
    if is_ordered(gold) and len(gold.items) == len(answer.items):
        pairs = list(zip(gold.items, answer.items, strict=True))
        place = next((place for place, pair in enumerate(pairs) if same(*pair) is False), None)
        if place is not None:
            return f"item {place + 1}, where order counts: {difference(*pairs[place])}"
    if len(gold.items) != len(answer.items):
        return f"{len(answer.items)} items for {len(gold.items)}"
    missing = [item for item in gold.items if not any(same(item, one) is not False for one in answer.items)]
    if missing:
        return f"{describe(missing[0])} is missing"
    return f"the brackets differ: {answer.brackets or 'none'} for {gold.brackets or 'none'}"


def describe(kind: Kind) -> str:
    """Describe in words which kind of thing an answer was read as.

    >>> describe(kind_of("-3/4 cm")), describe(kind_of("(1, B)")), describe(kind_of("x + 1")), describe(kind_of("9%"))
    ('the number -0.75, in cm', 'a tuple of 2: the number 1; option B', 'a formula', 'the number 9 percent')
    """
    match kind:
        case Number():
            percent, unit = " percent" * kind.percent, f", in {kind.unit}" if kind.unit else ""
            return f"the number {_number(kind.value)}{percent}{unit}{f', for {kind.name}' if kind.name else ''}"
        case Date():
            return f"the date {'-'.join(f'{part:02}' for part in kind.parts)}"
        case TimeOfDay():
            return f"the time {kind.seconds // 3600}:{kind.seconds // 60 % 60:02}"
        case Span():
            return f"from {describe(kind.low)} to {describe(kind.high)}"
        case Ratio():
            return f"the ratio {':'.join(map(_number, kind.parts))}"
        case InBase():
            return f"{kind.digits} in base {kind.base}"
        case Choice():
            return f"option {kind.letter}{f', {kind.meaning}' if kind.meaning else ''}"
        case Words():
            return f"the words {kind.text!r}"
        case Several():
            listed = "; ".join(map(describe, kind.items))
            return f"{LISTS.get(kind.brackets, 'an interval')} of {len(kind.items)}: {listed}"
        case Formula():
            return "a formula"


def _number(value: Fraction) -> str:
    """Decimals where they end soon."""
    ends_soon = 10**6 % value.denominator == 0
    return str(Decimal(value.numerator) / Decimal(value.denominator)) if ends_soon else str(value)


def _name(kind: Kind) -> str:
    names = {Several: "list", Span: "range", TimeOfDay: "time", InBase: "number in a base", Words: "word"}
    return names.get(type(kind), type(kind).__name__.lower())


def _article(name: str) -> str:
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
