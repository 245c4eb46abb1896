"""Properties of reading and comparing answers: whatever is typed is read, and is the same as itself."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from tina_lite.answers.answer_types import Formula, Number, Several
from tina_lite.answers.equivalence import same
from tina_lite.answers.explaining import describe, explain
from tina_lite.answers.numbers import read_number
from tina_lite.answers.parsing import kind_of, one_spelling

texts = (
    st.text(alphabet=st.sampled_from(list("0123456789.,-/^_=+*(){}[]\\%$€°½√ abcBCxyzé\n:;'\"")), max_size=60)
    | st.text()
)
numbers = st.fractions(min_value=-(10**9), max_value=10**9, max_denominator=10**4)


@given(texts)
def test_whatever_is_typed_is_read_once_and_is_the_same_as_itself(text: str) -> None:
    kind = kind_of(text)
    assert same(kind, kind) is not False
    assert describe(kind)
    assert one_spelling(one_spelling(text)) == one_spelling(text) or isinstance(kind, Formula)
    assert explain(text, text, None).why


@given(texts, texts)
def test_kinds_never_raise_and_agree_with_equality(gold: str, answer: str) -> None:
    verdict = same(kind_of(gold), kind_of(answer))
    assert verdict in (True, False, None)
    if kind_of(gold) == kind_of(answer):
        assert verdict is True


def written(value: Fraction) -> list[str]:
    """Ways in which people write a number."""
    ways = [
        str(value),
        rf"\frac{{{value.numerator}}}{{{value.denominator}}}",
        f"x = {value}",
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
        assert same(kind_of(str(one)), kind_of(text)) is True, text
        assert same(kind_of(text), kind_of(str(one))) is True, text
        if one != other and not (kind_of(text).percent and one == 100 * other):
            assert same(kind_of(str(other)), kind_of(text)) is False, text


@given(st.lists(st.integers(-99, 99), min_size=2, max_size=5, unique=True), st.randoms())
def test_lists_and_sets_in_any_order_tuples_in_theirs(items: list[int], draws) -> None:
    listed = ", ".join(map(str, items))
    mixed = list(items)
    draws.shuffle(mixed)
    shuffled = ", ".join(map(str, mixed))
    assert same(kind_of(listed), kind_of(shuffled)) is True
    assert same(kind_of(rf"\{{{listed}\}}"), kind_of(rf"\{{{shuffled}\}}")) is True
    assert same(kind_of(f"({listed})"), kind_of(f"({shuffled})")) is (items == mixed)
    assert same(kind_of(listed), kind_of(", ".join(map(str, items[1:])))) is False


@given(st.decimals(min_value=-1000, max_value=1000, places=4))
def test_decimals_are_exact(value) -> None:
    number = read_number(str(value))
    assert isinstance(number, Number)
    assert (number.value, number.rounded) == (Fraction(value), True)


def test_what_is_deep_or_long_is_left_alone() -> None:
    assert isinstance(kind_of("[" * 400 + "1" + "]" * 400), Formula)
    assert isinstance(kind_of("1," * 600), Formula)
    assert isinstance(kind_of("[[1, 2], [3, 4]]"), Several)
