"""Small things that a terminal line is made of: harmless text, durations, charts and bars, as plain values."""

import math
import os
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, lru_cache
from itertools import chain, pairwise
from textwrap import wrap

from rich.cells import chop_cells, set_cell_size
from rich.text import Text

BLOCKS = " ▁▂▃▄▅▆▇█"
BAR = "━"
REST = "dim bright_black"
LONGEST_TEXT = 4000
MOST_MARKS = 2


@lru_cache(maxsize=64)
def clean(text: str) -> str:
    """Text from a model or a file, made harmless for a terminal; line ends are kept, the middle of long text is not.

    Control characters become visible, marks that turn the writing direction, hide or do not exist become U+FFFD.

    >>> clean("a\\x1b[2J\\x07b\\r\\n")
    'a␛[2J␇b␍\\n'
    >>> clean("\\u202eevil\\ud800")
    '�evil�'
    """
    if len(text) > LONGEST_TEXT:
        text = f"{text[: LONGEST_TEXT // 2]} … {text[-LONGEST_TEXT // 2 :]}"
    return "".join(_few_marks(map(_visible, unicodedata.normalize("NFC", text))))


def one_line(text: str) -> str:
    """Clean text with its line ends shown.

    >>> one_line("1+1=2\\n</think>")
    '1+1=2 ⏎ </think>'
    """
    return clean(text).strip().replace("\n", " ⏎ ")


def from_here(path: str) -> str:
    """A folder as one would type it: from the working directory where it is in there."""
    return one_line(path.removeprefix(f"{os.getcwd()}/"))


@cache
def _visible(char: str) -> str:
    if char == "\n":
        return char
    if char == "\t":
        return " "
    if char < " ":
        return chr(0x2400 + ord(char))  # Unicode's picture of the control character
    if "\ufe00" <= char <= "\ufe0f":
        return ""  # variation selectors: terminals disagree on how wide they make a character
    category = unicodedata.category(char)
    return "\ufffd" if category[0] == "C" or category in ("Zl", "Zp") else char


def _few_marks(chars: Iterable[str]) -> Iterator[str]:
    """Stacked accents would climb out of their line."""
    marks = 0
    for char in chars:
        marks = marks + 1 if unicodedata.category(char or " ")[0] == "M" else 0
        if marks <= MOST_MARKS:
            yield char


def fold(text: str, width: int, rows: int) -> list[str]:
    """Clean text as at most `rows` lines of at most `width` cells; what does not fit is cut from the middle.

    >>> fold("one two\\nthree", 5, 3)
    ['one', 'two', 'three']
    >>> fold("1 2 3 4 5 6 7 8", 3, 3)
    ['1 2', '3 4', '… 7']
    >>> fold("1 2 3 4 5 6 7 8", 5, 1)
    ['1 2 …']
    """
    if width < 1 or rows < 1:
        return []
    lines = _folded(text, width)
    if len(lines) <= rows:
        return list(lines)
    if rows == 1:
        return [set_cell_size(lines[0], max(0, width - 2)).rstrip() + " …"[-width:]]
    head = (rows + 1) // 2
    tail = lines[len(lines) - (rows - head) :]
    return [*lines[:head], chop_cells(f"… {tail[0]}", width)[0], *tail[1:]]


@lru_cache(maxsize=64)
def _folded(text: str, width: int) -> tuple[str, ...]:
    wrapped = chain.from_iterable(wrap(line, width) or [""] for line in clean(text).strip().split("\n"))
    return tuple(chain.from_iterable(chop_cells(line, width) or [""] for line in wrapped))


def format_duration(seconds: float) -> str:
    """Write a duration in two units at most, rounded down.

    >>> format_duration(41.7), format_duration(139), format_duration(3900), format_duration(270_000)
    ('41 s', '2 min 19 s', '1 h 05 min', '3 d 03 h')
    """
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600:02d} h"


def format_number(value: float) -> str:
    """Write three significant digits, so that columns of figures stay in line.

    >>> format_number(2.7), format_number(26.14), format_number(2140.3), format_number(8.1e-06), format_number(0)
    ('2.70', '26.1', '2,140', '8.10e-06', '0.00')
    """
    return f"{value:,.0f}" if abs(value) >= 99.95 else f"{value:#.3g}"


def format_share(share: float) -> str:
    """Write a share in percent.

    >>> format_share(0.8612), format_share(0), format_percent(0.8612)
    ('86.1%', '0.0%', '86%')
    """
    return f"{share:.1%}"


def format_percent(share: float) -> str:
    return f"{share:.0%}"


def chart(values: Sequence[float], width: int, rows: int = 1) -> list[str]:
    """Draw values as block characters from lowest to highest, `rows` lines of `width` cells, top line first.

    >>> chart([0, 1, 2, 3, 4, 5, 6, 7], 8)
    ['▁▂▃▄▅▆▇█']
    >>> chart([1, 2], 4, rows=2)
    ['  ██', '▁▁██']
    """
    columns = _columns([value for value in values if math.isfinite(value)], width)
    if not columns:
        return [" " * width] * rows
    low, high = min(columns), max(columns)
    top = len(BLOCKS) - 1
    levels = [1 + _level((value - low) / (high - low) if high > low else 0.5, rows * top) for value in columns]
    return ["".join(BLOCKS[min(top, max(0, level - row * top))] for level in levels) for row in reversed(range(rows))]


def _level(height: float, levels: int) -> int:
    return round(height * (levels - 1))


def _columns(values: Sequence[float], width: int) -> list[float]:
    """Means of `width` equal stretches; fewer values than columns are repeated."""
    count = len(values)
    if not count:
        return []
    cuts = [column * count // width for column in range(width + 1)]
    stretches = [values[start : max(start + 1, end)] for start, end in pairwise(cuts)]
    return [math.fsum(stretch) / len(stretch) for stretch in stretches]


def bar(width: int, *parts: tuple[float, str]) -> Text:
    """A bar of `width` cells: shares of the whole from the left, each in its style, the rest in grey.

    >>> bar(4, (0.25, "green"), (0.5, "dim")).spans
    [Span(0, 1, 'green'), Span(1, 3, 'dim'), Span(3, 4, 'dim bright_black')]
    """
    text, reached = Text(no_wrap=True), 0.0
    for share, style in (*parts, (1.0, REST)):
        reached = min(1.0, reached + max(0.0, share))
        text.append(BAR * (int(reached * width + 1e-9) - len(text)), style)
    return text
