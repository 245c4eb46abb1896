"""Rewards on the stated answer, against values worked by hand."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tina_lite.rewards import resolve
from tina_lite.rewards.builtin import boxed
from tina_lite.rewards.call import chat
from tina_lite.rewards.stated import choice, exact_match, last_number, numeric, regex
from tina_lite.util.errors import BadInput


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("\\boxed{34}", 1.0),
        ("so \\boxed{\\frac{1}{2}} is it", 1.0),
        ("\\fboxed{34}", 1.0),
        ("\\boxed {34}", 1.0),
        ("\\boxed{34} or \\boxed{35", 1.0),
        ("\\boxed{34", 0.0),
        ("\\boxed{}", 0.0),
        ("\\boxed{ }", 0.0),
        ("\\boxed34", 0.0),
        ("boxed{34}", 0.0),
        ("34", 0.0),
        ("", 0.0),
    ],
)
def test_boxed(text: str, value: float) -> None:
    assert boxed(chat(text)) == [value]


@pytest.mark.parametrize(
    ("text", "gold", "value"),
    [
        ("\\boxed{x + 1}", "x + 1", 1.0),
        ("\\boxed{x+1}", "x + 1", 0.0),
        ("\\boxed{Paris}", "paris", 0.0),
        ("\\boxed{New  York}", "New York", 1.0),
        ("a\n</think>\nNew\nYork.", "New York", 1.0),
        ("a\n</think>\nb\n</think>\nParis", "Paris", 1.0),
        ("48/2 = 24\n#### 24", "24", 1.0),
        ("#### 24", "so it is 24\n#### 24", 1.0),
        ("Paris", "Paris", 1.0),
        ("It is Paris", "Paris", 0.0),
        ("\\boxed{London}\nParis", "Paris", 0.0),
        ("", "Paris", 0.0),
        ("Paris", "", None),
        ("None", None, None),
    ],
)
def test_exact_match(text: str, gold: str | None, value: float | None) -> None:
    assert exact_match(chat(text), [gold]) == [value]


@pytest.mark.parametrize(
    ("text", "gold", "value"),
    [
        ("\\boxed{3.14}", "3.14", 1.0),
        ("\\boxed{3.14}", "3.15", 0.0),
        ("\\boxed{3.1500001}", "3.15", 1.0),
        ("\\boxed{1,250 km}", "1250", 1.0),
        ("\\boxed{-7}", "-7", 1.0),
        ("\\boxed{7}", "-7", 0.0),
        ("\\boxed{\\frac{3}{4}}", "0.75", 1.0),
        ("\\boxed{-\\dfrac{3}{4}}", "-3/4", 1.0),
        ("\\boxed{1.5e3}", "1500", 1.0),
        ("\\boxed{50\\%}", "50", 1.0),
        ("3 apples and 4 pears", "4", 1.0),
        ("3 apples and 4 pears", "3", 0.0),
        ("\\boxed{1/0}", "1", 0.0),
        ("\\boxed{" + "9" * 900 + "}", "9", 0.0),
        ("", "1", 0.0),
        ("many", "1", 0.0),
        ("1", "many", None),
        ("1", None, None),
    ],
)
def test_numeric(text: str, gold: str | None, value: float | None) -> None:
    assert numeric(chat(text), [gold]) == [value]


def test_tolerances() -> None:
    assert numeric(chat("105", "106", "-5"), ["100", "100", "0"], tolerance=5.0) == [1.0, 0.0, 1.0]
    assert numeric(chat("105", "106", "5"), ["100", "100", "0"], relative_tolerance=0.05) == [1.0, 0.0, 0.0]
    with pytest.raises(BadInput, match="0 or more"):
        resolve("numeric", {"tolerance": -1.0})


@settings(deadline=None)
@given(
    st.floats(allow_nan=False, allow_infinity=False, width=32), st.sampled_from(["{}", "x = {}.", "${}$", "#### {}"])
)
def test_any_number_is_read_back(number: float, around: str) -> None:
    assert last_number(around.format(number)) == number
    assert last_number(around.format(f"{int(number):,}")) == int(number)


@pytest.mark.parametrize(
    ("text", "gold", "value"),
    [
        ("\\boxed{B}", "B", 1.0),
        ("\\boxed{(B)}", "B", 1.0),
        ("\\boxed{\\text{B}}", "B", 1.0),
        ("\\boxed{\\textbf{(B)}\\ 12}", "(B)", 1.0),
        ("\\boxed{B. Paris}", "B. Paris", 1.0),
        ("\\boxed{C}", "B", 0.0),
        ("\\boxed{12}", "B", 0.0),
        ("\\boxed{Berlin}", "B", 0.0),
        ("Answer: B", "B", 1.0),
        ("The answer is (B).", "B", 1.0),
        ("The answer is A. No, the answer is **B**.", "B", 1.0),
        ("ANSWER:\n$B$", "B", 1.0),
        ("Is it A or B?\nB) Paris", "B", 1.0),
        ("Is it A or B?", "B", 0.0),
        ("Because", "B", 0.0),
        ("", "B", 0.0),
        ("B", "K", None),
        ("B", "12", None),
        ("B", None, None),
    ],
)
def test_choice(text: str, gold: str | None, value: float | None) -> None:
    assert choice(chat(text), [gold]) == [value]


def test_other_letters() -> None:
    assert choice(chat("\\boxed{J}"), ["J"], letters="ABCDEFGHIJ") == [1.0]
    with pytest.raises(BadInput, match="letters is 'A-D'"):
        resolve("choice", {"letters": "A-D"})


def test_regex() -> None:
    assert regex(chat("a1", "a", ""), pattern=r"\d$") == [1.0, 0.0, 0.0]
    assert regex(chat("one\ntwo"), pattern="^two") == [0.0]
    assert regex(chat("one\ntwo"), pattern="(?m)^two") == [1.0]
