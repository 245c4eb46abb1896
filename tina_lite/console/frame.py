"""Rectangles of styled text, which the picture is put together from.

Rich's own panels and layouts measure and wrap everything anew at each redraw; here a line is a `Text` that is cut or
filled to its width, and a part of the picture is drawn again only when what it shows has changed.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

FRAME_ROWS = 2
FRAME_CELLS = 4
DIM = "dim"

Row = list[Segment]
"""A line of the picture, as wide as its part."""


@dataclass(frozen=True, slots=True)
class Part:
    """A rectangle of the picture. It looks the same as long as place, size and `key` are equal."""

    row: int
    column: int
    width: int
    height: int
    key: tuple[object, ...]
    """All that is drawn, in values that can be compared."""
    draw: Callable[[], list[Row]]
    """`height` rows of `width` cells."""

    @property
    def place(self) -> tuple[int, int, int, int]:
        return self.row, self.column, self.width, self.height


@dataclass(frozen=True, slots=True)
class Picture:
    """Parts that fill a rectangle, as Rich prints it."""

    parts: Sequence[Part]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines: dict[int, list[tuple[int, Row]]] = {}
        for part in self.parts:
            for offset, row in enumerate(part.draw()):
                lines.setdefault(part.row + offset, []).append((part.column, row))
        for number in sorted(lines):
            for _, row in sorted(lines[number], key=lambda piece: piece[0]):
                yield from row
            yield Segment.line()


def framed(lines: Iterable[Text], width: int, height: int, title: str, subtitle: str = "") -> list[Row]:
    """Lines in a box, a title in its upper edge and a subtitle in its lower one. What does not fit is left out."""
    if height < FRAME_ROWS or width < FRAME_CELLS:
        return plain(lines, width, height)
    left, right = Segment("│ ", style(DIM)), Segment(" │", style(DIM))
    inside = plain(lines, width - FRAME_CELLS, height - FRAME_ROWS)
    return [_upper(title, width), *([left, *row, right] for row in inside), _lower(subtitle, width)]


def plain(lines: Iterable[Text], width: int, height: int) -> list[Row]:
    """Lines without a box."""
    rows = [row_of(line, width) for line, _ in zip(lines, range(height))]
    return rows + [[Segment(" " * width)]] * (height - len(rows))


def row_of(text: Text, width: int) -> Row:
    """Cut or filled to its width; a line end would tear the picture and becomes a space."""
    if "\n" in text.plain:
        text = Text(" ").join(text.split("\n"))
    if text.cell_len > width:
        text = text.copy()
        text.truncate(width, overflow="ellipsis")
    row = list(_segments(text))
    missing = width - text.cell_len
    return [*row, Segment(" " * missing)] if missing > 0 else row


def _segments(text: Text) -> Iterator[Segment]:
    """The text's runs of equal style: where spans overlap, the later one wins over the earlier."""
    characters = text.plain
    if not characters:
        return
    cuts = sorted({0, len(characters), *(at for span in text.spans for at in (span.start, span.end))})
    for start, end in pairwise(cuts):
        over = [style(span.style) for span in text.spans if span.start <= start and end <= span.end]
        yield Segment(characters[start:end], Style.combine([style(text.style), *over]) if over else style(text.style))


@cache
def style(name: str | Style) -> Style:
    """A style by its name."""
    return Style.parse(name) if isinstance(name, str) else name


def _upper(title: str, width: int) -> Row:
    words = _cut(title, width - FRAME_CELLS - 2)
    line = "─" * (width - 3 - (cell_len(words) + 2 if words else 0))
    named = [Segment(f" {words} ", style("bold"))] if words else []
    return [Segment("╭─", style(DIM)), *named, Segment(f"{line}╮", style(DIM))]


def _lower(subtitle: str, width: int) -> Row:
    words = _cut(subtitle, width - FRAME_CELLS - 2)
    line = "─" * (width - 3 - (cell_len(words) + 2 if words else 0))
    named = [Segment(f" {words} ", style(DIM))] if words else []
    return [Segment(f"╰{line}", style(DIM)), *named, Segment("─╯", style(DIM))]


def _cut(words: str, width: int) -> str:
    if width < 1:
        return ""
    text = Text(words)
    text.truncate(width, overflow="ellipsis")
    return text.plain


def ends(left: Text, right: Text, width: int) -> Text:
    """A line with a left end and a right end; the left one gives way."""
    room = width - right.cell_len - 1
    if left.cell_len > room:
        left = left.copy()
        left.truncate(max(0, room), overflow="ellipsis")
    return Text.assemble(left, " " * max(0, width - left.cell_len - right.cell_len), right)
