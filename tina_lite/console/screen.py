"""A terminal's whole screen: Rich draws it, and keys neither show nor wait for Enter."""

import os
import select
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from typing import TextIO

from rich.console import Console, RenderableType
from rich.layout import Layout
from rich.live import Live
from rich.panel import Panel
from rich.text import Text

FRAME_ROWS = 2
FRAME_CELLS = 4
DIM = "dim"


def plain(lines: Iterable[Text], height: int) -> Text:
    """Lines one below the other, each cut to its width; a line end within one becomes a space."""
    flat = (Text(" ").join(line.split("\n")) if "\n" in line.plain else line for line in lines)
    text = Text("\n").join(islice(flat, max(0, height)))
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def framed(lines: Iterable[Text], height: int, title: str, subtitle: str = "") -> Panel:
    """Put lines into a box, with a title above and a subtitle below; what does not fit is left out."""
    return Panel(
        plain(lines, height - FRAME_ROWS),
        title=Text(title, "bold") if title else None,
        title_align="left",
        subtitle=Text(subtitle, DIM) if subtitle else None,
        subtitle_align="right",
        border_style=DIM,
        height=height,
    )


def column(*parts: tuple[RenderableType, int]) -> Layout:
    """Parts one below the other, each so many rows high."""
    whole = Layout()
    whole.split_column(*(Layout(part, size=rows) for part, rows in parts if rows > 0))
    return whole


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

    def __call__(self, within_s: float) -> str:
        """Those that are pressed within this time; empty where none is."""
        if self.descriptor is None:
            time.sleep(within_s)
            return ""
        ready, _, _ = select.select([self.descriptor], [], [], within_s)
        return os.read(self.descriptor, 64).decode(errors="replace") if ready else ""


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


BEGIN, END = "\x1b[?2026h", "\x1b[?2026l"
"""A synchronised update, where the terminal knows it: nothing flickers."""


class Screen:
    """Draws a picture of the terminal's size on its alternate screen whenever it is told to."""

    def __init__(self, stream: TextIO, draw: Callable[[int, int], RenderableType]) -> None:
        self.console = Console(file=stream, highlight=False)
        self._stream = stream
        self._live = Live(
            console=self.console,
            screen=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
            get_renderable=lambda: draw(*self.console.size),
        )

    def open(self) -> None:
        self._live.start()
        self.redraw()

    def close(self) -> None:
        """The terminal as it was; it may be gone."""
        with suppress(OSError):
            self._live.stop()

    def redraw(self) -> None:
        with suppress(OSError, ValueError):  # of the terminal itself: COLUMNS and LINES do not change with it
            size = os.get_terminal_size(self._stream.fileno())
            if all(size):
                self.console.size = size
        self._stream.write(BEGIN)
        self._live.refresh()
        self._stream.write(END)
        self._stream.flush()
