"""Properties of reading and comparing answers: whatever is typed is read, and is the same as itself."""

from fractions import Fraction

from hypothesis import example, given
from hypothesis import strategies as st

from tina_lite.answers import is_sane
from tina_lite.answers.explaining import describe, explain
from tina_lite.answers.numbers import read_number
from tina_lite.answers.reading import one_spelling, same

texts = (
    st.text(alphabet=st.sampled_from(list("0123456789.,-/^_=+*(){}[]\\%$€°½√ abcBCxyzé\n:;'\"")), max_size=60)
    | st.text()
)
numbers = st.fractions(min_value=-(10**9), max_value=10**9, max_denominator=10**4)


@given(texts)
def test_whatever_is_typed_is_read_and_is_the_same_as_itself(text: str) -> None:
    assert same(text, text) is is_sane(text)
    assert describe(text)
    assert explain(text, text, None).why


@given(st.text(alphabet=st.sampled_from(list("0123456789.,-/^= ()%$½ ab")), max_size=30))
@example("1  000")
def test_what_has_one_spelling_keeps_it(text: str) -> None:
    once = one_spelling(text)
    assert one_spelling(once) == once


@given(texts, texts)
def test_comparing_never_raises(gold: str, answer: str) -> None:
    assert same(gold, answer) in (True, False, None)


def written(value: Fraction) -> list[str]:
    """Ways in which people write a number."""
    ways = [
        str(value),
        rf"\frac{{{value.numerator}}}{{{value.denominator}}}",
        f"{value} cm",
        f"**{value}**",
    ]
    if value.denominator == 1:
        whole = value.numerator
        ways += [
            f"{whole:,}",
            f"{whole:,}".replace(",", " "),
            f"{whole}.0",
            rf"\text{{{whole}}}",
            f"${whole}$",
            f"{whole}\\%",
        ]
    elif value > 1:
        whole, rest = divmod(value, 1)
        ways += [f"{whole} {rest}", rf"{whole}\frac{{{rest.numerator}}}{{{rest.denominator}}}"]
    return ways


@given(numbers, numbers)
def test_numbers_however_they_are_written(one: Fraction, other: Fraction) -> None:
    for text in written(one):
        assert same(str(one), text) is True, text
        assert same(text, str(one)) is True, text
        if one != other and not ("%" in text and one == 100 * other):
            assert same(str(other), text) is False, text


@given(st.decimals(min_value=-1000, max_value=1000, places=4))
def test_decimals_are_exact(value) -> None:
    number = read_number(str(value))
    assert number is not None
    assert (number.value, number.rounded) == (Fraction(value), True)


def test_units_are_converted() -> None:
    alike = [("2 hours", "120 minutes"), ("1 m", "100 cm"), ("60 km/h", r"1\text{ km/min}"), ("3 ft", "36 inches")]
    assert [same(*pair) for pair in alike] == [True] * len(alike)
    assert [same(gold, answer) for gold, answer in (("2 hours", "2 m"), ("1 kg", "1000 lb"), ("5 €", "5 dollars"))] == [
        False
    ] * 3


def test_what_is_deep_or_long_is_no_answer() -> None:
    assert not same("[" * 400 + "1" + "]" * 400, "1")
    assert not same("1," * 600, "1," * 600)
