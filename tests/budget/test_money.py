import re
from decimal import localcontext
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tina_lite
from tina_lite.budget.money import format_price, format_saving, format_usd

DOLLARS = st.floats(min_value=0, max_value=1e9, allow_subnormal=False)


def read(text: str) -> Fraction:
    return Fraction(text.removeprefix("$").replace(",", ""))


@given(DOLLARS)
def test_never_shows_less_than_was_spent_nor_a_whole_unit_more(usd: float) -> None:
    shown = read(format_usd(usd))
    unit = Fraction(1, 10_000 if shown < 1 else 100)
    assert 0 <= shown - Fraction(repr(usd)) < unit


@given(DOLLARS)
def test_decimals_follow_the_amount(usd: float) -> None:
    text = format_usd(usd)
    assert len(text.split(".")[1]) == (4 if read(text) < 1 else 2)


@given(DOLLARS)
def test_a_price_is_the_same_amount_with_at_least_cents(usd: float) -> None:
    assert read(format_price(usd)) == read(format_usd(usd))
    assert len(format_price(usd).split(".")[1]) >= 2


def test_dollars_are_whole_whatever_precision_a_library_leaves_behind() -> None:
    with localcontext(prec=3):
        assert (format_usd(12345.674), format_price(1e8), format_saving(12345.678)) == (
            "$12,345.68",
            "$100,000,000.00",
            "$12,345.67",
        )


FORMATTED = re.compile(r"\$\{|\{[^{}]*\b(usd|rate|price)\w*[\])]*:[^{}]*[fg]\}")
"""A dollar sign before a figure in an f-string, or a figure in dollars with decimals of its own."""


@pytest.mark.parametrize("line", ['f"${usd:.2f}"', 'f"{reading.usd:.4f}"', 'f"at ${rate}/h"', 'f"{summary[rate]:g}"'])
def test_what_would_be_found(line: str) -> None:
    assert FORMATTED.search(line)


def test_no_other_file_formats_dollars() -> None:
    package = Path(tina_lite.__file__).parent
    files = [path for path in package.rglob("*.py") if path.name != "money.py"]
    found = [f"{path}: {line}" for path in files for line in path.read_text().splitlines() if FORMATTED.search(line)]
    assert len(files) > 50
    assert found == []


def test_nothing_has_no_sign() -> None:
    """Rounded up, what is less than nothing is nothing."""
    assert (format_usd(-0.0), format_usd(-1e-9), format_price(-0.0)) == ("$0.0000", "$0.0000", "$0.00")


def test_cents_stay_cents_in_spite_of_binary_fractions() -> None:
    assert [format_usd(cents / 100) for cents in (1, 7, 29, 58)] == ["$0.0100", "$0.0700", "$0.2900", "$0.5800"]
    assert format_usd(0.1 + 0.2) == "$0.3001"
    assert (format_usd(0), format_usd(1e-12), format_usd(0.99991), format_usd(1.001)) == (
        "$0.0000",
        "$0.0001",
        "$1.00",
        "$1.01",
    )
