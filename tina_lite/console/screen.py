"""A terminal's alternate screen, on which only what has changed is written.

Each part of the picture stands at an address of its own, so a character that a terminal draws wider than expected
shifts no more than its own line in its own part. Nothing flickers: what is written goes out in one piece, between the
marks of a synchronised update where the terminal knows them.
"""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TextIO

from rich.color import ColorSystem
from rich.console import COLOR_SYSTEMS, Console

from tina_lite.console.frame import Part, Row

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
