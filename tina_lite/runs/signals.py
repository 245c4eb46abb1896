"""Ctrl-C once: give up the step under way and save. Twice: stop now. Other signals that ask for an end do as the first.

What was ignored when the process started stays so: nohup and a script's `&` mean that a run outlives who started it.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

from tina_lite.wall_clock import Limit, wall_clock_limit

NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")
WATCHED = tuple(getattr(signal, name) for name in NAMES if hasattr(signal, name))
"""Of a person, a container, a terminal that closes; the last two are what Slurm and spot machines are told to send."""


class StopRequest:
    """While entered, the first signal is kept in `signal_number`; a second SIGINT raises KeyboardInterrupt."""

    def __init__(self) -> None:
        self.signal_number: int | None = None
        self.answer: Callable[[str], None] = lambda text: None
        """Told at once, from a thread of its own, what happens on the first signal."""
        self._before: dict[signal.Signals, object] = {}
        self._limits: list[Limit] = []

    def __bool__(self) -> bool:
        return self.signal_number is not None

    def __enter__(self) -> "StopRequest":
        # Python lets only the main thread listen; a run started elsewhere is stopped by its owner.
        if threading.current_thread() is threading.main_thread():
            heard = [number for number in WATCHED if signal.getsignal(number) is not signal.SIG_IGN]
            self._before = {number: signal.signal(number, self._listen) for number in heard}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    @contextmanager
    def limited(self, seconds: float | None) -> Iterator[None]:
        """A block of work that cannot ask: OutOfTime is raised in it at a signal, and after so many seconds."""
        with wall_clock_limit(seconds) as limit:
            self._limits.append(limit)
            try:
                if self:
                    limit.end_now()
                yield
            finally:
                self._limits.remove(limit)

    def _listen(self, number: int, frame: FrameType | None) -> None:
        if self.signal_number is not None:
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            return
        self.signal_number = number
        said = f"{signal.Signals(number).name}: saving what is finished; Ctrl-C once more to stop at once"
        # Not from here: the main thread may be in the middle of a write.
        threading.Thread(target=self.answer, args=(said,), name="answer", daemon=True).start()
        for limit in self._limits:
            limit.end_now()
