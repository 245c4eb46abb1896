r"""Every gold of six real data sets: a completion with `\boxed{gold}` is right, with a changed gold wrong."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from sections import load

from tina_lite.rewards.accuracy import verdicts

DATA = Path(__file__).parents[3] / "shared" / "data"
SIZES = {"gsm8k-train": 7473, "gsm8k-test": 1319, "limr-train": 1389, "math500": 500, "amc23": 40, "aime24": 30}


def golds_of(name: str) -> list[str]:
    path = DATA / f"{name}.jsonl"
    if not path.exists():
        pytest.skip(f"needs the data set {name}")
    problems = load(str(path))
    assert (len(problems), dict(problems.skipped)) == (SIZES[name], {})
    return [problem.answer for problem in problems]


def boxed(answers: list[str]) -> list[str]:
    return [f"So it is\n</think>\n$\\boxed{{{answer}}}$." for answer in answers]


def other_digit(gold: str, position: int) -> str:
    """One more in a digit, 0 for 9; a letter more where there is no digit."""
    digits = [match.start() for match in re.finditer(r"\d", gold)]
    if not digits:
        return f"{gold}z"
    place = digits[position]
    return f"{gold[:place]}{(int(gold[place]) + 1) % 10}{gold[place + 1 :]}"


CHANGES: dict[str, Callable[[str], str]] = {
    "first": lambda gold: other_digit(gold, 0),
    "last": lambda gold: other_digit(gold, -1),
    "plus 1": lambda gold: f"{gold} + 1",
}


@pytest.mark.parametrize("name", SIZES)
def test_a_boxed_gold_is_right(name: str) -> None:
    golds = golds_of(name)
    assert [(row, golds[row]) for row, right in enumerate(verdicts(boxed(golds), golds)) if right is not True] == []


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", SIZES)
def test_a_changed_gold_is_wrong(name: str, change: str) -> None:
    golds = golds_of(name)
    changed = [CHANGES[change](gold) for gold in golds]
    right = [row for row, one in enumerate(verdicts(boxed(changed), golds)) if one is not False]
    assert [(row, golds[row], changed[row]) for row in right] == []


OTHERS = [
    (r"\text{(A)}", r"\text{(B)}"),
    ("(C)", "(D)"),
    ("D. 12", "D. 13"),
    ("yes", "no"),
    (r"\text{Monday}", r"\text{Tuesday}"),
    ("10:30", "10:31"),
    (r"12^\circ", r"13^\circ"),
    (r"5\text{ cm}", r"6\text{ cm}"),
    ("34 km/h", "35 km/h"),
    (r"\$32,\!348", r"\$32,\!349"),
    (r"50\%", r"51\%"),
    (r"1\frac{1}{2}", r"1\frac{1}{3}"),
    ("3:1", "3:2"),
    ("(1,2)", "(2,1)"),
    ("[1,2]", "(1,2)"),
    (r"x \in [-2,7]", r"x \in [-2,8]"),
    (r"(-\infty,2)\cup(3,\infty)", r"(-\infty,2)\cup(4,\infty)"),
    ("2 or 3", "2 or 4"),
    (r"\infty", r"-\infty"),
    ("x<5", "x>5"),
    ("y=2x+3", "y=2x+4"),
    ("6-5i", "6+5i"),
    (r"\sin^2 x", r"\sin^3 x"),
    (r"\begin{cases}1\\2\end{cases}", r"\begin{cases}1\\3\end{cases}"),
    ("10!", "11!"),
    (r"2^{1000}", r"2^{1001}"),
    (r"1.6\times 10^{-19}", r"1.7\times 10^{-19}"),
    (r"6.02 \times 10^{23}", r"6.02 \times 10^{24}"),
    ("0.0000001", "0.0000002"),
    ("11_2", "11_3"),
    ("H_2O", "H_2S"),
    ("2023-01-05", "2023-01-06"),
    ("2π", "3π"),
    ("½", "⅓"),
    ("三", "四"),
]
"""Kinds of gold that other sets have: letters, names, units, times, intervals, chemistry, physics, other scripts."""


def test_the_golds_of_other_sets() -> None:
    golds, changed = [gold for gold, _ in OTHERS], [change for _, change in OTHERS]
    right, wrong = verdicts(boxed(golds), golds), verdicts(boxed(changed), golds)
    assert [gold for gold, one in zip(golds, right, strict=True) if one is not True] == []
    assert [gold for gold, one in zip(golds, wrong, strict=True) if one is not False] == []
