"""A terminal's whole screen: parts are drawn where they changed, and keys neither show nor wait for Enter."""

import os
import select
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TextIO

from rich.cells import cell_len
from rich.color import ColorSystem
from rich.console import COLOR_SYSTEMS, Console, ConsoleOptions, RenderResult
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
    """Is a rectangle of the picture. It looks the same as long as place, size and `key` are equal."""

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
    """Put lines into a box, a title in its upper edge and a subtitle in its lower one.

    What does not fit is left out.
    """
    if height < FRAME_ROWS or width < FRAME_CELLS:
        return plain(lines, width, height)
    left, right = Segment("│ ", style(DIM)), Segment(" │", style(DIM))
    inside = plain(lines, width - FRAME_CELLS, height - FRAME_ROWS)
    return [_upper(title, width), *([left, *row, right] for row in inside), _lower(subtitle, width)]


def plain(lines: Iterable[Text], width: int, height: int) -> list[Row]:
    """Lay lines out without a box."""
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
    """Find a style by its name."""
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


try:
    import termios
    import tty
except ImportError:  # not on Windows
    termios = None  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class Keys:
    descriptor: int | None

    def __call__(self, key: str, within_s: float) -> bool:
        """Whether the key is pressed within this time; other keys are passed over."""
        if self.descriptor is None:
            time.sleep(within_s)
            return False
        ready, _, _ = select.select([self.descriptor], [], [], within_s)
        return bool(ready) and key in os.read(self.descriptor, 64).decode(errors="replace")


@contextmanager
def single_keys(stream: TextIO | None) -> Iterator[Keys]:
    """Keys as they are pressed, without an echo; Ctrl-C stays what it is. Those that nobody read are dropped.

    A process in the background has no say over its terminal: it would be stopped for trying.
    """
    descriptor = _own_terminal(stream)
    if descriptor is None:
        yield Keys(None)
        return
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)
    try:
        yield Keys(descriptor)
    finally:
        if _own_terminal(stream) is not None:
            termios.tcsetattr(descriptor, termios.TCSAFLUSH, before)


def _own_terminal(stream: TextIO | None) -> int | None:
    """The descriptor of a terminal that this process may set; None where there is none."""
    try:
        if termios is None or stream is None or not stream.isatty():
            return None
        descriptor = stream.fileno()
    except (OSError, ValueError):
        return None
    return None if _in_background(descriptor) else descriptor


def _in_background(descriptor: int) -> bool:
    try:
        return os.tcgetpgrp(descriptor) != os.getpgrp()
    except OSError:  # of another session, which has no such rule
        return False


# A terminal's alternate screen, on which only what has changed is written.
#
# Each part of the picture stands at an address of its own, so a character that a terminal draws wider than expected
# shifts no more than its own line in its own part. Nothing flickers: what is written goes out in one piece, between the
# marks of a synchronised update where the terminal knows them.

BEGIN, END = "\x1b[?2026h", "\x1b[?2026l"
CLEAR = "\x1b[2J"
WHOLE_EVERY = 20
"""Redraws after which everything is written, in case another program wrote into the picture."""

Draw = Callable[[int, int], Sequence[Part]]
"""The parts of the picture for a width and a height."""


class Screen:
    """Draws when it is told to; the size is asked for each time, so a resized terminal is drawn anew."""

    def __init__(self, stream: TextIO, draw: Draw) -> None:
        self.console = Console(file=stream, highlight=False)
        self._stream = stream
        self._draw = draw
        self._colours: ColorSystem | None = COLOR_SYSTEMS.get(self.console.color_system or "")
        self._size = (0, 0)
        self._redraws = 0
        self._shown: dict[tuple[int, int, int, int], tuple[tuple[object, ...], list[str]]] = {}
        """By place: key and lines of each part."""

    def open(self) -> None:
        self.console.set_alt_screen(True)
        self.console.show_cursor(False)
        self.redraw()

    def close(self) -> None:
        """The terminal as it was; it may be gone."""
        with suppress(OSError):
            self.console.show_cursor(True)
            self.console.set_alt_screen(False)

    def redraw(self) -> None:
        """Write what has changed since the last time."""
        written = self._changes()
        if written:
            self._stream.write(f"{BEGIN}{written}{END}")
            self._stream.flush()

    def _changes(self) -> str:
        width, height = self._terminal_size()
        written: list[str] = []
        whole = self._redraws % WHOLE_EVERY == 0
        self._redraws += 1
        if (width, height) != self._size:
            self._size, self._shown = (width, height), {}
            written.append(CLEAR)
        earlier, self._shown = self._shown, {}
        for part in self._draw(width, height):
            key, known = earlier.get(part.place, ((), []))
            lines = known if known and key == part.key else [self._encoded(row) for row in part.draw()]
            self._shown[part.place] = (part.key, lines)
            for offset, line in enumerate(lines):
                if whole or not known or line != known[offset]:
                    written.append(f"\x1b[{part.row + offset + 1};{part.column + 1}H{line}")
        return "".join(written)

    def _terminal_size(self) -> tuple[int, int]:
        """Of the terminal itself: COLUMNS and LINES do not change when it is resized."""
        with suppress(OSError, ValueError):
            size = os.get_terminal_size(self._stream.fileno())
            if all(size):
                return size.columns, size.lines
        return self.console.size

    def _encoded(self, row: Row) -> str:
        return "".join(
            segment.style.render(segment.text, color_system=self._colours) if segment.style else segment.text
            for segment in row
        )
