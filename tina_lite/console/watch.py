"""A run watched from its files alone: while it goes on, after it, or told again at a speed.

The picture is that of the run itself; what a phase counts is missing, as the files do not hold it.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TextIO

from rich.console import RenderableType

from tina_lite.budget import read_bills
from tina_lite.console.keys import View
from tina_lite.console.lines import PlainConsole
from tina_lite.console.live import REDRAW_S, draw, draw_closing
from tina_lite.console.screen import Screen, single_keys
from tina_lite.console.state import ConsoleState, after
from tina_lite.runs.events import Listener, RunStarted, Stamped
from tina_lite.runs.look import EventLog, event_of, events_in, in_short, owner_of
from tina_lite.util.errors import BadInput

SESSION_GAP_S = 3.0
"""Of the time between two sessions of a run, so much is told again."""
GONE = "not running, and it left no summary: killed; --resume goes on with it"


class Following:
    """The state of a run as its files have it now. Its clock is the wall's, on which events are stamped."""

    note = "watched · q: leave"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._log = EventLog(folder / "events.jsonl")
        self.state = ConsoleState()
        self.over = False
        """Whether nothing more will come, unless somebody resumes the run."""

    def now(self) -> float:
        return time.time()

    def look(self, tell: Listener | None = None) -> None:
        """Take in what was written; who wants to be told is told every event, else a long log is taken in short."""
        owned = owner_of(self._folder) is not None  # before the log: what it wrote last is then in there
        anew, lines = self._log.news()
        state = ConsoleState() if anew else self.state
        for stamped in in_short(lines) if tell is None else chain.from_iterable(map(event_of, lines)):
            state = after(state, stamped, now=min(stamped.at, self.now()))
            if tell is not None:
                tell(stamped)
        killed = not owned and state.started is not None and state.summary is None
        if killed and not state.gone:
            state = replace(state, usd=max(state.usd, self._billed()))
        self.state = replace(state, gone=GONE if killed else "")
        self.over = not owned

    def _billed(self) -> float:
        """What the ledger charges, which for a killed run is more than its last event knew."""
        with suppress(BadInput, OSError):
            return sum(bill.usd for bill in read_bills(self._folder / "ledger.jsonl"))
        return 0.0


class Replaying:
    """A run that is told again, `speed` times as fast as it was."""

    def __init__(self, folder: Path, speed: float, started: float | None = None) -> None:
        self._events = events_in(folder / "events.jsonl")
        self._due = list(moments(self._events))
        self._speed = speed
        self._started = time.monotonic() if started is None else started
        self._told = 0
        self.note = f"told again, {speed:g}x · q: leave"
        self.state = ConsoleState()

    def now(self) -> float:
        """Seconds of the telling."""
        return (time.monotonic() - self._started) * self._speed

    def look(self, tell: Listener | None = None) -> None:
        """Take in what is due."""
        now = self.now()
        while self._told < len(self._events) and self._due[self._told] <= now:
            self.state = after(self.state, self._events[self._told], now=self._due[self._told])
            if tell is not None:
                tell(self._events[self._told])
            self._told += 1
        if self.over and self.state.summary is None:
            self.state = replace(self.state, gone="here its events end")

    @property
    def over(self) -> bool:
        return self._told == len(self._events)


def moments(events: Sequence[Stamped]) -> Iterator[float]:
    """Seconds from the first event to each, the time between two sessions cut short."""
    passed, last = 0.0, events[0].at if events else 0.0
    for stamped in events:
        gap = max(0.0, stamped.at - last)
        passed += min(gap, SESSION_GAP_S) if isinstance(stamped.event, RunStarted) else gap
        last = stamped.at
        yield passed


def watch_live(run: Following | Replaying, terminal: TextIO, keys: TextIO) -> None:
    """The picture until q or Ctrl-C; leaves the summary on a clean screen."""
    run.look()
    view = View()

    def picture(width: int, height: int) -> RenderableType:
        state, now = view.of(run.state, run.now())
        return draw(state, width, height, now, view.note(run.note))

    screen = Screen(terminal, picture)
    try:
        screen.open()
        with suppress(KeyboardInterrupt), single_keys(keys) as pressed:
            while "q" not in (keys_now := pressed(within_s=REDRAW_S)):
                view.press(keys_now, run.state, run.now())
                run.look()
                screen.redraw()
    finally:
        screen.close()
    if run.state.summary is not None:
        screen.console.print(draw_closing(run.state, screen.console.width))


def watch_plain(run: Following | Replaying, stream: TextIO) -> None:
    """A line for each thing worth one, until nothing more will come or Ctrl-C."""
    console = PlainConsole(stream)
    with suppress(KeyboardInterrupt):
        while True:
            run.look(console)
            if run.over or getattr(stream, "lost", None):  # as the command's stdout says of itself
                break
            time.sleep(REDRAW_S)
    if run.state.gone:
        stream.write(f"{run.state.gone}\n")
