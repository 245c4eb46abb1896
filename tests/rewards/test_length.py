"""Length rewards against values worked by hand. RIGHT and WRONG are one-token texts; lengths come from the ids."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tina_lite.rewards.builtin import cosine, kimi, length, length_l1_exact, length_l1_max, soft_overlong
from tina_lite.rewards.call import chat
from tina_lite.util.errors import BadInput

RIGHT, WRONG = "\\boxed{2}", "\\boxed{3}"


def ids(*lengths: int) -> list[list[int]]:
    return [[7] * tokens for tokens in lengths]


@pytest.mark.parametrize(
    ("lengths", "right", "values"),
    [
        ([10, 20], [True, True], [0.5, -0.5]),
        ([10, 20], [False, False], [0.0, -0.5]),
        ([10, 20], [False, True], [0.0, -0.5]),
        ([10, 15, 20], [True, True, True], [0.5, 0.0, -0.5]),
        ([10, 15, 20], [False, False, False], [0.0, 0.0, -0.5]),
        ([0, 100, 25, 75], [True, False, True, False], [0.5, -0.5, 0.25, -0.25]),
        ([8, 8, 8], [True, False, True], [0.0, 0.0, 0.0]),
        ([0, 0], [False, False], [0.0, 0.0]),
        ([5], [True], [0.0]),
        ([10, 20], [None, True], [None, -0.5]),
        ([8, 8], [None, None], [None, None]),
        ([0, 3000], [True, False], [0.5, -0.5]),
    ],
)
def test_kimi(lengths: list[int], right: list[bool | None], values: list[float | None]) -> None:
    assert kimi(lengths, right) == values


def test_length_compares_inside_a_group_only() -> None:
    texts = chat(RIGHT, RIGHT, RIGHT, RIGHT)
    assert length(texts, ids(10, 20, 100, 200), ["2"] * 4, [0, 0, 1, 1]) == [0.5, -0.5, 0.5, -0.5]
    assert length(texts, ids(10, 20, 100, 100), ["2", "2", "", ""], [0, 0, 1, 1]) == [0.5, -0.5, None, None]


@given(st.lists(st.tuples(st.integers(0, 500), st.booleans()), min_size=1))
def test_kimi_is_bounded_and_never_prefers_the_longer(rows: list[tuple[int, bool]]) -> None:
    values = kimi(*zip(*rows, strict=True))
    assert all(value is not None and -0.5 <= value <= 0.5 for value in values)
    ordered = sorted((tokens, -value) for (tokens, right), value in zip(rows, values, strict=True) if right)
    assert [cost for _, cost in ordered] == sorted(cost for _, cost in ordered)


@pytest.mark.parametrize(
    ("text", "tokens", "value"),
    [
        (RIGHT, 0, 1.0),
        (RIGHT, 1792, 0.75),
        (RIGHT, 896, 0.75 + 0.25 * 0.5**0.5),
        (RIGHT, 2688, 0.75 - 0.25 * 0.5**0.5),
        (RIGHT, 3584, 0.5),
        (RIGHT, 3585, 0.5),
        (RIGHT, 7168, 0.5),
        (WRONG, 0, 0.0),
        (WRONG, 1792, -0.25),
        (WRONG, 896, -0.25 + 0.25 * 0.5**0.5),
        (WRONG, 3584, -0.5),
        (WRONG, 7168, -0.5),
        ("", 0, 0.0),
    ],
)
def test_cosine(text: str, tokens: int, value: float) -> None:
    assert cosine(chat(text), ids(tokens), ["2"]) == [pytest.approx(value)]


def test_cosine_settings() -> None:
    bounds = {"correct_short": 2.0, "correct_long": 1.0, "wrong_short": -2.0, "wrong_long": -1.0}
    assert cosine(chat(RIGHT, WRONG), ids(5, 5), ["2", "2"], max_length=10, **bounds) == [1.5, -1.5]
    assert cosine(chat(RIGHT), ids(5), [""]) == [None]
    with pytest.raises(BadInput, match="max_length is 0"):
        cosine(chat(RIGHT), ids(5), ["2"], max_length=0)


@pytest.mark.parametrize(
    ("text", "tokens", "target", "exact", "at_most"),
    [
        (RIGHT, 100, 100, 1.0, 0.5),
        (RIGHT, 1100, 100, 0.7, 0.2),
        (RIGHT, 100, 1100, 0.7, 0.8),
        (RIGHT, 100, 4000, -0.17, 1.0),
        (RIGHT, 4000, 100, -0.17, 0.0),
        (RIGHT, 1766, 100, 0.5002, 0.0002),
        (RIGHT, 0, 1000, 0.7, 0.8),
        (WRONG, 100, 100, 0.0, 0.0),
        (WRONG, 1100, 100, -0.3, 0.0),
        (WRONG, 100, 1100, -0.3, 0.0),
        ("", 0, 100, -0.03, 0.0),
        (RIGHT, 100, None, None, None),
    ],
)
def test_l1(text: str, tokens: int, target: int | None, exact: float | None, at_most: float | None) -> None:
    assert length_l1_exact(chat(text), ids(tokens), ["2"], [target]) == [exact and pytest.approx(exact)]
    assert length_l1_max(chat(text), ids(tokens), ["2"], [target]) == [at_most and pytest.approx(at_most)]


def test_l1_has_no_opinion_without_a_gold() -> None:
    assert length_l1_exact(chat(RIGHT), ids(5), [""], [100]) == [None]
    assert length_l1_max(chat(RIGHT), ids(5), [""], [100]) == [None]


@pytest.mark.parametrize(
    ("tokens", "value"),
    [
        (0, 0.0),
        (1, 0.0),
        (3071, 0.0),
        (3072, 0.0),
        (3073, -1 / 512),
        (3200, -0.25),
        (3328, -0.5),
        (3456, -0.75),
        (3583, -511 / 512),
        (3584, -1.0),
        (3585, -1.0),
        (100_000, -1.0),
    ],
)
def test_soft_overlong(tokens: int, value: float) -> None:
    assert soft_overlong(ids(tokens)) == [value]


def test_soft_overlong_settings() -> None:
    assert soft_overlong(ids(0, 5, 10, 11), max_length=10, soft_punish_cache=10) == [0.0, -0.5, -1.0, -1.0]
    for cache in (0, 11):
        with pytest.raises(BadInput, match=f"soft_punish_cache is {cache}; it must be from 1 to max_length, 10"):
            soft_overlong([], max_length=10, soft_punish_cache=cache)
