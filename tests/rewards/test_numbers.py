"""The quick judgement of plain numbers agrees with math-verify wherever it is sure."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tina_lite.rewards.judge import judge
from tina_lite.rewards.numbers import Number, number_in_text, plain_number, same_number

ALL_THE_SAME = 1e-5
"""Math-verify tells no two numbers apart that are nearer than 6 places."""
digits = st.integers(0, 120_000)
WRITTEN = st.builds(
    lambda sign, dollar, whole, decimals, percent: f"{sign}{dollar}{whole}{decimals}{percent}",
    st.sampled_from(["", "-"]),
    st.sampled_from(["", "", "$", "\\$"]),
    st.one_of(digits.map(str), digits.map("{:,}".format), st.sampled_from(["007", "00", "1000000000000"])),
    st.sampled_from(["", "", "", ".0", ".5", ".25", ".500", ".3333333", ".0000004", ".00001"]),
    st.sampled_from(["", "", "", "%", "\\%", " %"]),
)
NEAR = st.tuples(WRITTEN, st.sampled_from(["", "0", "%", ".0", "0000001", "1"])).map("".join)
NUMBERS = ["34", "-3", "1,250", "1 000", "2.50", "3,5", ".5", "50%", "12 percent", "104-70", "1/2", "7)", "(8", "000"]
WORDS = ["so", "Answer: ", "the answer is ", "answer", "**12**", "x2y", "3 apples", "4m2", "€7", "Wait, check again."]
LINES = ["66+38=104\n", "104-70=34\n", "</think>", "#### 18", "12th", "1e5", "2 = 3", "5!"]
PIECES = st.sampled_from([*NUMBERS, *WORDS, *LINES, "=", "= 9", "+", ".", ",", ":", "\n", " ", "  "])


@settings(max_examples=300, deadline=None)
@given(gold=WRITTEN, answer=st.one_of(WRITTEN, NEAR))
@example(gold="3", answer="3.0000004")
@example(gold="0.3333333", answer="0.33333334")
@example(gold="1000000000000.0000004", answer="1000000000000.00000040")
def test_two_numbers(gold: str, answer: str) -> None:
    expected, read = plain_number(gold), plain_number(answer)
    sure = same_number(expected, read) if expected and read else None
    if expected and read and expected.value == read.value:  # past 15 digits math-verify rounds two spellings apart
        assert sure is True
    elif not (expected and read and abs(expected.value - read.value) < ALL_THE_SAME):
        assert sure is None or sure == judge(gold, answer, boxed=True)


@settings(max_examples=300, deadline=None)
@given(gold=digits.map(str), answer=WRITTEN)
def test_a_number_with_itself_and_others_is_settled_without_math_verify(gold: str, answer: str) -> None:
    expected, read = plain_number(gold), plain_number(gold + ".0")
    assert expected is not None
    assert read is not None
    assert same_number(expected, read) is True
    assert same_number(expected, Number(expected.value + 1, False)) is False


@settings(max_examples=600, deadline=None)
@given(text=st.lists(PIECES, max_size=9).map("".join), gold=st.sampled_from(["34", "18", "2.5", "1250", "-3", "1,000"]))
@example(text="66+38=104\n104-70=34\nSo the answer is 34.", gold="34")
@example(text="answer 3 = 4", gold="34")
@example(text="", gold="34")
def test_the_number_in_a_text(text: str, gold: str) -> None:
    found, expected = number_in_text(text), plain_number(gold)
    assert expected is not None
    if found is False:
        assert judge(gold, text, boxed=False) is False
    elif found is not None and same_number(expected, found) is not None:
        assert judge(gold, text, boxed=False) == same_number(expected, found)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("66+38=104\n104-70=34\nSo the answer is 34.", 34),
        ("66+38=104\n104-70=34\nWait, check again.\n66+38=104\n", 104),
        ("66+38=104\n104-", 104),
        ("66+38=10", 10),
        ("I just know it.\n34", 34),
        ("#### 1,250", 1250),
    ],
)
def test_what_the_quickstart_says_is_settled_here(text: str, value: int) -> None:
    found = number_in_text(text)
    assert isinstance(found, Number)
    assert found.value == value


@pytest.mark.parametrize("text", ["$34$", "\\frac{1}{2}", "a [34] b", "final answer 34", "12%", "1/2", "9" * 600])
def test_what_is_not_sure_is_left_to_math_verify(text: str) -> None:
    assert number_in_text(text) is None


@pytest.mark.parametrize(
    ("gold", "answer", "same"),
    [
        ("0.0000001", "0.0000002", False),
        ("0.0000001", ".00000010", True),
        ("0", "0.0000001", False),
        ("1.6 \\times 10^{-19}", "1.60\\cdot10^{-19}", True),
        ("1.6 \\times 10^{-19}", "1.7 \\times 10^{-19}", False),
        ("2 \\times 10^3", "2,000", True),
        ("2 \\times 10^{3}", "2001", False),
        ("0.3333333", "0.33333334", None),
    ],
)
def test_small_and_large_numbers(gold: str, answer: str, same: bool | None) -> None:
    expected, read = plain_number(gold), plain_number(answer)
    assert expected is not None
    assert read is not None
    assert same_number(expected, read) is same


@pytest.mark.parametrize("text", ["", "x", "1e5", "12,34", "1,00", "9" * 40, "३", "1.2.3", "--3", "0,1", "34.", "50%"])
def test_what_is_no_plain_number(text: str) -> None:
    assert plain_number(text) is None
