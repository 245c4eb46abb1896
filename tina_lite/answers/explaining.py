"""Why an answer counts as right or wrong, in words: what was taken as the answer, how both sides were read."""

from dataclasses import dataclass

from tina_lite.answers.finding import bare, boxed_answer, final_answer, last_boxed, stated_answer, tagged_answer
from tina_lite.answers.in_text import announced_answer, number_stated
from tina_lite.answers.numbers import read_number, unlike_units
from tina_lite.answers.reading import is_text, plain, read_option, same
from tina_lite.answers.verifier import Verifier


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

    >>> explain(r"so \boxed{5 s}", "5 cm", False).why, explain("hm", "3", False).why
    ('the units differ: s for cm', 'no answer was found in the text')
    """
    answer, taken_from = _taken(text)
    if verifier is not None:
        task = f"the verifier of {verifier['task']}"
        example = f"an example of a right answer; {task} judges"
        return Explanation(answer, taken_from, "it stands", gold, example, _verdict_of(task, right))
    wanted = final_answer(gold)
    read_as = describe(answer) if answer else "nothing"
    return Explanation(answer, taken_from, read_as, gold, describe(wanted), _why(wanted, answer, right))


def _taken(text: str) -> tuple[str, str]:
    boxed, tagged = boxed_answer(text), tagged_answer(text)
    if boxed is not None:
        alone = boxed == (last_boxed(text) or "").strip()
        return bare(boxed), "the last box" if alone else "the boxes of the last statement"
    if tagged is not None:
        return bare(tagged), "the last <answer> tags"
    whole, announced, number = stated_answer(text), announced_answer(text), number_stated(text)
    if announced and describe(announced) != FORMULA:
        return announced, "what the text announces"
    if len(whole.split()) <= 3 and describe(whole) != FORMULA:
        return whole, "all of the text behind its thoughts"
    return (number.digits, "the last number of the text") if number else ("", "nowhere")


def _verdict_of(judge: str, right: bool | None) -> str:
    if right is None:
        return f"{judge} is not at hand, so there is no opinion"
    return f"{judge} accepts it" if right else f"{judge} does not give it a full score"


def _why(gold: str, answer: str, right: bool | None) -> str:
    if right is None:
        return "the gold cannot be read as an answer, so there is no opinion"
    if not answer and not right:
        return "no answer was found in the text"
    if same(gold, answer) is None:
        to_work_out = ", or the answer still to be worked out" if read_number(plain(gold)) else ""
        return f"math-verify finds them {'equal' if right else f'different{to_work_out}'}"
    if right:
        return "they are the same"
    expected, given = read_number(plain(gold)), read_number(plain(answer))
    if expected and given:
        units = unlike_units(expected, given)
        return f"the units differ: {given.unit} for {expected.unit}" if units else "another number"
    return f"{describe(gold)} is wanted"


FORMULA = "a formula"


def describe(answer: str) -> str:
    """Describe in words how an answer was read.

    >>> describe("-3/4 cm"), describe("(B) two"), describe("x + 1"), describe("9%"), describe("New York")
    ('the number -0.75, in cm', 'option B, two', 'a formula', 'the number 9 percent', "the text 'New York'")
    """
    text = plain(answer)
    if option := read_option(text):
        return f"option {', '.join(filter(None, option))}"
    if number := read_number(text):
        return f"the number {number.digits}{' percent' * number.percent}{f', in {number.unit}' if number.unit else ''}"
    return f"the text {text!r}" if is_text(text) else FORMULA
