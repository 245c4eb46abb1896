"""Rewards that read the answer where the completion states it, without math-verify.

The stated answer is that of the last `\\boxed{}`, else what follows the last `####` or `</think>`, else the whole
completion. Where the gold is not of the kind that the reward compares, there is no opinion.
"""

import math
import re
from collections.abc import Sequence

from tina_lite.answers import LONGEST_ANSWER, final_answer, framed_answer, stated_answer
from tina_lite.rewards.call import Completions, call_each, contents
from tina_lite.rewards.registry import best, each_gold, reward
from tina_lite.util.errors import BadInput

SEARCH_LIMIT_S = 3.0
"""Seconds of wall clock that `regex` may search a step's completions, a third of it on one: a careless pattern can
search for ever."""

_DIGITS = r"(?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?"
_SIGNED = rf"(?:(?<![\w)\]}}])[-+])?{_DIGITS}"
NUMBER = re.compile(
    rf"(?P<sign>(?<![\w)\]}}])-)?\\[dt]?frac\{{(?P<over>{_SIGNED})\}}\{{(?P<under>{_SIGNED})\}}"
    rf"|(?P<number>{_SIGNED})(?:\s*/\s*(?P<divisor>{_DIGITS}))?",
    re.ASCII,
)


@reward("exact_match")
def exact_match(completions: Completions, answer: Sequence[object]) -> list[float | None]:
    r"""1 if the stated answer is the gold letter by letter, else 0; any white space counts as one space.

    Range: 0 or 1. Source: the exact-match metric of question answering (SQuAD, arXiv 1606.05250), without its
    lower-casing and stripping of punctuation.

    >>> from tina_lite.rewards.call import chat
    >>> texts = chat(r"\boxed{x + 1}", r"\boxed{1 + x}", "a\n</think>\nnew  york", "It is new york", "34")
    >>> exact_match(texts, ["x + 1", "x + 1", "new york", "new york", ""])
    [1.0, 0.0, 1.0, 0.0, None]
    """

    def same(text: str, gold: str) -> float | None:
        return float(stated_answer(text).split() == gold.split()) if gold else None

    return [
        best([same(text, _gold(raw)) for raw in each_gold(golds)])
        for text, golds in zip(contents(completions), answer, strict=True)
    ]


@reward("numeric")
def numeric(
    completions: Completions,
    answer: Sequence[object],
    *,
    tolerance: float = 1e-6,
    relative_tolerance: float = 0.0,
) -> list[float | None]:
    r"""Give 1 if |number - gold| <= tolerance + relative_tolerance |gold|, else 0; the answer's last number counts.

    Numbers are read as 1,250.5, 1e-3, 3/4 or \frac{3}{4}; units and percent signs are passed over. Range: 0 or 1.
    tolerance in the gold's unit. Source: the comparison of numpy.isclose.

    >>> from tina_lite.rewards.call import chat
    >>> texts = chat(r"\boxed{3.14}", r"\boxed{3.2}", "#### 1,250 km", "It took 3/4 h", "many")
    >>> numeric(texts, ["3.14159", "3.14159", "1250", "0.75", "4"], relative_tolerance=0.01)
    [1.0, 0.0, 1.0, 1.0, 0.0]
    """
    if tolerance < 0 or relative_tolerance < 0:
        raise BadInput("reward numeric: tolerance and relative_tolerance must be 0 or more")

    def near(text: str, gold: float | None) -> float | None:
        if gold is None:
            return None
        number = last_number(stated_answer(text))
        return float(number is not None and abs(number - gold) <= tolerance + relative_tolerance * abs(gold))

    return [
        best([near(text, last_number(_gold(raw))) for raw in each_gold(golds)])
        for text, golds in zip(contents(completions), answer, strict=True)
    ]


def last_number(text: str) -> float | None:
    r"""The last number in a text; None where there is none that is finite.

    >>> last_number("-3"), last_number(r"x = -\frac{1}{2}"), last_number("3-2"), last_number("x2."), last_number("x")
    (-3.0, -0.5, 2.0, 2.0, None)
    """
    last = None
    for match in NUMBER.finditer(text[-LONGEST_ANSWER:]):
        last = match
    if last is None:
        return None
    over, under = last["over"] or last["number"], last["under"] or last["divisor"] or "1"
    divisor = _float(under)
    value = _float(over) / divisor if divisor else math.nan
    return (-value if last["sign"] else value) if math.isfinite(value) else None


def _float(digits: str) -> float:
    return float(digits.replace(",", ""))


@reward("choice")
def choice(completions: Completions, answer: Sequence[object], *, letters: str = "ABCDEFGHIJ") -> list[float | None]:
    r"""1 if the letter that the completion chooses is the gold's, else 0.

    The letter is that of the last `\boxed{}` or `<answer>` tags, else the last that follows "answer", "answer is",
    "option" or "choice", else one that opens the last line. Range: 0 or 1. Source: multiple choice as in GPQA (arXiv
    2311.12022), four options, and MMLU-Pro (arXiv 2406.01574), ten.

    >>> from tina_lite.rewards.call import chat
    >>> texts = chat(r"\boxed{\text{B}}", "The answer is (B).", "A or B?\nB", "Answer: A", "Beta", "B")
    >>> choice(texts, ["B"] * 5 + ["7"])
    [1.0, 1.0, 1.0, 0.0, 0.0, None]
    >>> choice(chat("I choose option **J**.", "The answer is I guess", "<answer>[J]</answer>", "(J) 12"), ["J"] * 4)
    [1.0, 0.0, 1.0, 1.0]
    """
    if not letters or not letters.isalpha() or len(set(letters)) < len(letters):
        raise BadInput(f"reward choice: letters is {letters!r}; it must be different letters such as ABCD")
    one = f"([{letters}])(?![A-Za-z])"
    mark = r"(?i:option|choice)\b"
    alone = re.compile(rf"[^A-Za-z]*(?:\\(?:text|textbf|mathrm|mathbf)\s*\{{)?(?:{mark})?[^A-Za-z\\]*{one}")
    # "I" before a word in small letters is the speaker, not the option.
    named = re.compile(
        rf"\b(?:(?i:answer)\b(?i:\s+is\b)?(?:\s+{mark})?|{mark})[^A-Za-z]{{0,12}}{one}(?!(?<=I)\s+[a-z])"
    )

    def chosen(text: str) -> str | None:
        stated = framed_answer(text)
        if stated is not None:
            return _letter(alone.match(stated[:LONGEST_ANSWER]))
        said = named.findall(text)
        last_line = text.strip().rpartition("\n")[2]
        return said[-1] if said else _letter(alone.match(last_line[:LONGEST_ANSWER]))

    letters_of = [[_letter(alone.match(_gold(raw))) for raw in each_gold(golds)] for golds in answer]
    return [
        best([None if gold is None else float(chosen(text) == gold) for gold in golds])
        for text, golds in zip(contents(completions), letters_of, strict=True)
    ]


def _letter(match: re.Match[str] | None) -> str | None:
    return match[1] if match else None


@reward("regex", own_limit=True)
def regex(completions: Completions, *, pattern: str = "") -> list[object]:
    r"""1 if Python's `re.search` finds the pattern anywhere in the completion, else 0.

    Range: 0 or 1. A completion that is searched for more than a second counts as a failure. Source: the format rewards
    of DeepSeek-R1 (arXiv 2501.12948), section 2.2.2, as they are commonly written.

    >>> from tina_lite.rewards.call import chat
    >>> regex(chat("<answer>34</answer>", "34", ""), pattern=r"(?s)<answer>.+</answer>\s*$")
    [1.0, 0.0, 0.0]
    """
    if not pattern:
        raise BadInput("reward regex: it needs a pattern, such as {name: regex, pattern: '<answer>.+</answer>'}")
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise BadInput(f"reward regex: pattern {pattern!r} does not compile: {error}") from error

    def found(text: str) -> float:
        return float(compiled.search(text) is not None)

    return call_each(found, [{"text": text} for text in contents(completions)], SEARCH_LIMIT_S)


def _gold(raw: object) -> str:
    return "" if raw is None else final_answer(str(raw))
