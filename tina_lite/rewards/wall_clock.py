"""A wall-clock limit for a block of Python that was written by others."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

RING_AGAIN_S = 1.0


class OutOfTime(BaseException):
    """Raised inside the block. No Exception, so that the block's own `except Exception` does not hold it up."""


@contextmanager
def wall_clock_limit(seconds: float | None) -> Iterator[None]:
    """Raise OutOfTime in the block after so many seconds, and again each second until it gives in.

    The alarm reaches loops, waiting, and the regular expressions of `re`; not a library's one long call outside
    Python. Alarms ring in the main thread only: in any other the block has no limit. None: no limit.
    """
    if seconds is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(*_: object) -> None:
        raise OutOfTime

    handler = signal.signal(signal.SIGALRM, ring)
    timer = signal.setitimer(signal.ITIMER_REAL, seconds, RING_AGAIN_S)
    try:
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    finally:  # once more: the alarm may have rung in the line above
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, handler)
