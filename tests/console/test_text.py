import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tina_lite.console.text import LONGEST_TEXT, bar, chart, clean, fold, format_duration, format_number, one_line

ANY_TEXT = st.text(st.characters(exclude_categories=()))  # surrogates, controls and unassigned characters included


@given(ANY_TEXT)
def test_clean_text_can_neither_command_a_terminal_nor_break_its_encoding(text: str) -> None:
    cleaned = clean(text)
    cleaned.encode("utf-8")
    assert all(char == "\n" or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for char in cleaned)


@given(st.text(st.characters(categories=("L", "N", "P")).filter(lambda c: unicodedata.is_normalized("NFC", c))))
def test_clean_leaves_ordinary_text_alone(text: str) -> None:
    assert clean(text) == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b[2J\x1b]0;title\x07", "␛[2J␛]0;title␇"),
        ("[bold]x[/]", "[bold]x[/]"),
        ("a\u202eb\u2066c\u200fd", "a\ufffdb\ufffdc\ufffdd"),
        ("\x9b2J", "\ufffd2J"),
        ("e" + "\u0301" * 50, "é\u0301\u0301"),
        ("\x00\x7f", "␀\ufffd"),
    ],
)
def test_hostile_text_is_shown_and_not_obeyed(hostile: str, shown: str) -> None:
    assert clean(hostile) == shown


def test_long_text_loses_its_middle_only() -> None:
    cleaned = clean("begin" + "x" * 10**6 + "end")
    assert cleaned.startswith("begin")
    assert cleaned.endswith("end")
    assert len(cleaned) <= LONGEST_TEXT + 3


@given(ANY_TEXT, st.integers(-2, 30), st.integers(-2, 8))
def test_folded_text_fits(text: str, width: int, rows: int) -> None:
    lines = fold(text, width, rows)
    assert len(lines) <= max(0, rows)
    # a double-width character cannot be made to fit one cell
    assert all(cell_len(line) <= max(2, width) and "\n" not in line for line in lines)


def test_folding_keeps_the_end_where_answers_stand() -> None:
    assert fold("one two three four five six \\boxed{7}", 10, 3) == ["one two", "three four", "… \\boxed{7}"[:10]]
    assert one_line("a\nb") == "a ⏎ b"


@given(st.lists(st.floats()), st.integers(1, 60), st.integers(1, 6))
def test_a_chart_has_the_asked_size(values: list[float], width: int, rows: int) -> None:
    lines = chart([value for value in values if abs(value) < 1e300], width, rows)
    assert [len(line) for line in lines] == [width] * rows


def test_a_chart_shows_means_of_equal_stretches() -> None:
    assert chart([0, 0, 7, 7], 2) == ["▁█"]
    assert chart([0, 7, 14], 6) == ["▁▁▅▅██"]
    assert chart([3, 3, 3], 3) == ["▅▅▅"]
    assert chart([], 3, 2) == ["   ", "   "]
    assert chart([float("nan"), 1, 2], 2) == ["▁█"]


@given(st.integers(0, 80), st.lists(st.floats(-2, 3), max_size=4))
def test_a_bar_is_as_wide_as_asked_whatever_the_shares(width: int, shares: list[float]) -> None:
    assert bar(width, *((share, "red") for share in shares)).cell_len == width


@given(st.floats(0, 1e9))
def test_durations_never_round_up(seconds: float) -> None:
    units = {"s": 1, "min": 60, "h": 3600, "d": 86_400}
    words = format_duration(seconds).split()
    assert sum(int(n) * units[unit] for n, unit in zip(words[::2], words[1::2], strict=True)) <= seconds


def test_numbers_keep_three_digits() -> None:
    assert [format_number(v) for v in (99.96, 99.94, -0.5, 1e-6)] == ["100", "99.9", "-0.500", "1.00e-06"]
