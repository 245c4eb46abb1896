"""The live view: a full-screen picture that is drawn four times a second from the events seen so far."""

import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from threading import Event, RLock, Thread
from types import TracebackType
from typing import Any, Self, TextIO

from tina_lite.console.frame import Part
from tina_lite.console.keys import single_keys
from tina_lite.console.screen import Screen
from tina_lite.console.state import Line, RunState, after, with_line
from tina_lite.console.text import clean
from tina_lite.console.view import draw_closing, parts
from tina_lite.runs.events import RunStarted, Stamped
from tina_lite.runs.in_short import in_short
from tina_lite.runs.look import EventLog

REDRAW_S = 0.25
PRINTED_LINES_KEPT = 20
LONGEST_LINE = 4096


class LiveConsole:
    """Draws on the terminal's alternate screen, so that the scroll-back stays as it was; leaves a short summary.

    A drawing thread of its own keeps clock and dollars moving while a kernel holds the main thread.
    """

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream or sys.stderr
        self._clock = clock
        self._state = RunState()
        self._updating = RLock()  # a signal handler may emit while the main thread is in here
        self._screen = Screen(self._stream, self.picture)
        self._stop = Event()
        self._thread = Thread(target=self._keep_drawing, name="console", daemon=True)
        self._printed = Printed(self._stream, self._show_printed)
        self._redirects = ExitStack()

    def __enter__(self) -> Self:
        self._screen.open()
        self._thread.start()
        self._redirects.enter_context(single_keys(sys.__stdin__))
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

    def _told_before(self, run: Path, until: float) -> RunState:
        """What a resumed run has behind it."""
        state = self._state
        for earlier in in_short(EventLog(run / "events.jsonl").news()[1]):
            if earlier.at < until:
                state = after(state, earlier, self._clock())
        return state

    def picture(self, width: int, height: int) -> list[Part]:
        """The parts of the picture now."""
        return list(parts(self._state, width, height, self._clock()))

    def _keep_drawing(self) -> None:
        with suppress(OSError):  # a terminal that went away does not end the run
            while not self._stop.wait(REDRAW_S):
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
