"""The live view: a full-screen picture that is drawn twice a second from the events seen so far."""

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, redirect_stderr, redirect_stdout, suppress
from pathlib import Path, PurePath
from threading import Event, RLock, Thread
from types import TracebackType
from typing import Any, Self, TextIO

from rich.box import ROUNDED
from rich.console import RenderableType
from rich.layout import Layout
from rich.table import Table
from rich.text import Text

from tina_lite.budget.money import format_price
from tina_lite.console.closing import closing_facts
from tina_lite.console.keys import View
from tina_lite.console.panels import (
    alarm_rows,
    draw_alarms,
    draw_learning,
    draw_notices,
    draw_run,
    draw_sample,
    left_words,
    run_lines,
)
from tina_lite.console.screen import DIM, FRAME_ROWS, Keys, Screen, column, ends, plain, single_keys
from tina_lite.console.state import ConsoleState, Line, after, with_line
from tina_lite.console.text import clean, format_duration, one_line
from tina_lite.runs.events import RunStarted, Stamped
from tina_lite.runs.look import EventLog, in_short

WIDE = 110
TALL = 32
HEADER_ROWS = 2
SMALLEST_CELLS = 40
SMALLEST_ROWS = 12
LEAST_SAMPLE_ROWS = 5
ROWS_FOR_TWO_SAMPLES = 12


def draw(state: ConsoleState, width: int, height: int, now: float, note: str = "") -> RenderableType:
    """Give the picture, `width` x `height` cells; `now` is the clock of `after`, and `note` stands before the time."""
    if width < SMALLEST_CELLS or height < SMALLEST_ROWS:
        return _tiny(state, height, now)
    body, tall = height - HEADER_ROWS, height >= TALL
    run_rows = FRAME_ROWS + (5 if tall else 3)
    if width >= WIDE:
        left = (width + 1) // 2
        halves = Layout()
        halves.split_row(
            Layout(
                column(
                    (draw_run(state, now, left, run_rows), run_rows),
                    (draw_learning(state, left, body - run_rows), body - run_rows),
                ),
                size=left,
            ),
            Layout(_to_read(state, width - left, body, tall), size=width - left),
        )
        return column((_header(state, width, now, note), HEADER_ROWS), (halves, body))
    line_rows = 4 if tall else 2
    sample_rows = max(LEAST_SAMPLE_ROWS, (body - run_rows - line_rows) * 2 // 5)
    learning_rows = body - run_rows - line_rows - sample_rows
    return column(
        (_header(state, width, now, note), HEADER_ROWS),
        (draw_run(state, now, width, run_rows), run_rows),
        (draw_learning(state, width, learning_rows), learning_rows),
        *_samples(state, width, sample_rows),
        (draw_notices(state.lines, state.alarms, width, line_rows, boxed=False), line_rows),
    )


def _to_read(state: ConsoleState, width: int, body: int, tall: bool) -> Layout:
    """The right half of a wide picture: what is amiss, samples, notices."""
    line_rows = FRAME_ROWS + (4 if tall else 2)
    health_rows = alarm_rows(state.alarms, width, most=(body - line_rows) // 2)
    return column(
        (draw_alarms(state.alarms, width, health_rows), health_rows),
        *_samples(state, width, body - health_rows - line_rows),
        (draw_notices(state.lines, (), width, line_rows, boxed=True), line_rows),
    )


def _header(state: ConsoleState, width: int, now: float, note: str) -> Text:
    """Recipe, model, engine, card, rate; how long it has been going."""
    started = state.started
    if started is None:
        return plain([Text.assemble((" tina-lite", "bold"), (f"  {note}", DIM))], HEADER_ROWS)
    name = Text.assemble(("tina-lite", DIM), " ", (one_line(started.name), "bold cyan"))
    folder = PurePath(started.folder).name
    if folder != started.name:
        name.append(f" in {one_line(folder)}", DIM)
    if started.resumed_from_step:
        name.append(f"  resumed after step {started.resumed_from_step}", DIM)
    model = one_line(started.model.rstrip("/").rsplit("/", 1)[-1])
    machine = Text.assemble(model, (" · ", DIM), one_line(started.engine), (" on ", DIM), one_line(started.device))
    price = Text.assemble((f"{format_price(started.rate)}/h", "yellow"), (f" ({one_line(started.rate_source)})", DIM))
    watched = f"{note} · " if note else ""
    clock = Text.assemble(
        (watched, DIM), (format_duration(state.elapsed_at(now)), "bold"), (f" · seed {started.seed}", DIM)
    )
    lines = [Text(" ") + ends(left, right, width - 2) for left, right in ((name, clock), (machine, price))]
    return plain(lines, HEADER_ROWS)


def _samples(state: ConsoleState, width: int, height: int) -> Iterator[tuple[RenderableType, int]]:
    """The best so far above a typical one of the latest step; where only one fits, the one that tells more."""
    best, typical = state.best, state.typical
    kinds = [("the best so far", best), ("a typical one", typical)]
    if state.picked is not None:
        kinds = [("a typical one", state.picked)]
    elif height < ROWS_FOR_TWO_SAMPLES or best is None or typical is None:
        flat = any(alarm.name == "reward_zero" for alarm in state.alarms)
        kinds = [kinds[1] if flat and typical is not None else ("a completion", best) if best is None else kinds[0]]
    for index, (kind, shown) in enumerate(kinds):
        rows = height // len(kinds) + (height % len(kinds) if index == 0 else 0)
        yield draw_sample(shown, kind, width, rows), rows


def _tiny(state: ConsoleState, height: int, now: float) -> Layout:
    """For a window in which nothing else fits."""
    forecast = state.forecast(now)
    lines = [Text(f"{line.label} {line.words}") for line in run_lines(state, forecast, now)]
    return column((plain([*lines, Text(left_words(state, forecast))], height), height))


def draw_closing(state: ConsoleState, width: int) -> RenderableType:
    """The few lines that stay on the screen when the run has ended."""
    facts = [(label, value.replace("->", "→")) for label, value in closing_facts(state)]
    title = Text.assemble((one_line(state.started.name) if state.started else "the run", "bold cyan"), " has ended")
    if width < SMALLEST_CELLS:
        return Text("\n").join([title, *(Text.assemble((f"{label}: ", DIM), value) for label, value in facts)])
    table = Table(title=title, title_justify="left", box=ROUNDED, show_header=False, border_style=DIM)
    table.add_column(style=DIM, no_wrap=True)
    table.add_column(overflow="fold")
    for label, value in facts:
        table.add_row(label, Text(value, "bold" if label in ("held-out Pass@1", "dollars") else ""))
    return table


REDRAW_S = 0.5
PRINTED_LINES_KEPT = 20
LONGEST_LINE = 4096


class LiveConsole:
    """Draws on the terminal's alternate screen, so that the scroll-back stays as it was; leaves a short summary.

    A drawing thread of its own keeps clock and dollars moving while a kernel holds the main thread.
    """

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream or sys.stderr
        self._clock = clock
        self._state = ConsoleState()
        self._updating = RLock()  # a signal handler may emit while the main thread is in here
        self._keys, self._view = Keys(None), View()
        self._screen = Screen(self._stream, self.picture)
        self._stop = Event()
        self._thread = Thread(target=self._keep_drawing, name="console", daemon=True)
        self._printed = Printed(self._stream, self._show_printed)
        self._redirects = ExitStack()

    def __enter__(self) -> Self:
        self._screen.open()
        self._keys = self._redirects.enter_context(single_keys(sys.__stdin__))
        self._thread.start()
        self._redirects.enter_context(redirect_stdout(self._printed))
        self._redirects.enter_context(redirect_stderr(self._printed))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._redirects.close()
        self._stop.set()
        self._thread.join()
        self._screen.close()
        with suppress(OSError):  # the terminal may be gone; what the run did is on disk
            self._printed.release()
            if self._state.summary is not None:
                self._screen.console.print(draw_closing(self._state, self._screen.console.width))

    def __call__(self, stamped: Stamped) -> None:
        with self._updating:
            if isinstance(stamped.event, RunStarted) and stamped.event.resumed_from_step:
                self._state = self._told_before(Path(stamped.event.folder), stamped.at)
            self._state = after(self._state, stamped, self._clock())

    def _told_before(self, run: Path, until: float) -> ConsoleState:
        """What a resumed run has behind it."""
        state = self._state
        for earlier in in_short(EventLog(run / "events.jsonl").news()[1]):
            if earlier.at < until:
                state = after(state, earlier, self._clock())
        return state

    def picture(self, width: int, height: int) -> RenderableType:
        """Draw the run as it is now."""
        state, now = self._view.of(self._state, self._clock())
        return draw(state, width, height, now, self._view.note("") if self._keys.descriptor is not None else "")

    def _keep_drawing(self) -> None:
        with suppress(OSError):  # a terminal that went away does not end the run
            while not self._stop.wait(REDRAW_S):
                self._view.press(self._keys(within_s=0.0), self._state, self._clock())
                self._screen.redraw()

    def _show_printed(self, line: str) -> None:
        with self._updating:
            self._state = with_line(self._state, Line("printed", line))


class Printed:
    """Stands in for sys.stdout and sys.stderr while the picture is up: a print becomes a line in it.

    The last lines are written out when the picture is gone. Whoever kept this object then writes straight through.
    """

    def __init__(self, stream: TextIO, show: Callable[[str], None]) -> None:
        self._stream = stream
        self._show = show
        self._lines: deque[str] = deque(maxlen=PRINTED_LINES_KEPT)
        self._count = 0
        self._unfinished = ""
        self._holding = True

    def write(self, text: str) -> int:
        if not self._holding:
            return self._stream.write(text)
        *lines, unfinished = (self._unfinished + text).split("\n")
        # Of a progress bar that never ends its line the latest state is kept, and no more of it than can be shown.
        self._unfinished = unfinished[max(0, unfinished[:-1].rfind("\r")) :][-LONGEST_LINE:]
        for line in lines:
            self._keep(line)
        return len(text)

    def flush(self) -> None:
        if not self._holding:
            self._stream.flush()

    def release(self) -> None:
        """Write out what was printed, and step aside."""
        self._keep(self._unfinished)
        self._holding = False
        earlier = self._count - len(self._lines)
        if earlier:
            self._stream.write(f"({earlier} earlier lines were printed; --plain shows them all)\n")
        self._stream.writelines(f"{line}\n" for line in self._lines)

    def _keep(self, line: str) -> None:
        line = clean(line.rstrip("\r").rsplit("\r", 1)[-1])  # of a progress bar the latest state
        if line.strip():
            self._lines.append(line)
            self._count += 1
            self._show(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
