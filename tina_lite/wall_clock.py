"""A wall-clock limit for a block of Python: code that others wrote, or work that must end before money does.

Limits nest, and each is kept to its own second. An alarm reaches loops, waiting, and the regular expressions of `re`;
not a library's one long call outside Python. Alarms ring in the main thread only: in any other a block has no limit.
"""

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

RING_AGAIN_S = 1.0
"""For code that swallows the first alarm."""


class OutOfTime(BaseException):
    """Raised inside a block whose time is up. No Exception, so that the block's own `except Exception` lets it pass."""

    def __init__(self, limit: "Limit | None" = None) -> None:
        super().__init__()
        self.limit = limit
        """The one that was passed; None where the work itself saw that its time was up."""


class Limit:
    """Until when a block may run."""

    def __init__(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds

    @property
    def passed(self) -> bool:
        return time.monotonic() >= self._deadline

    def end_now(self) -> None:
        """The block's time is up at once."""
        self._deadline = min(self._deadline, time.monotonic())
        _set_alarm()

    def lift(self) -> None:
        """No alarm rings for this limit any more."""
        self._deadline = math.inf

    def left_s(self) -> float:
        return self._deadline - time.monotonic()


_limits: tuple[Limit, ...] = ()
"""Of the blocks that the main thread is in, the outermost first."""


@contextmanager
def wall_clock_limit(seconds: float | None) -> Iterator[Limit]:
    """Raise OutOfTime in the block after so many seconds, and again each second until it gives in; None: no limit.

    Of several limits that are passed the outermost is named.
    """
    global _limits
    limit = Limit(math.inf if seconds is None else seconds)
    if threading.current_thread() is not threading.main_thread():
        yield limit
        return
    before, _limits = _limits, (*_limits, limit)
    others = None if before else (signal.signal(signal.SIGALRM, _ring), signal.setitimer(signal.ITIMER_REAL, 0))
    try:
        _set_alarm()
        try:
            yield limit
        finally:
            limit.lift()
    finally:  # by what was before, so that nothing is left over where an outer alarm rings in here
        _limits = before
        _set_alarm()
        if others is not None:
            handler, timer = others
            signal.signal(signal.SIGALRM, handler)
            signal.setitimer(signal.ITIMER_REAL, *timer)


def _set_alarm() -> None:
    left_s = min((limit.left_s() for limit in _limits), default=math.inf)
    if left_s < math.inf:
        signal.setitimer(signal.ITIMER_REAL, max(left_s, 1e-6), RING_AGAIN_S)
    else:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _ring(*_: object) -> None:
    for limit in _limits:
        if limit.passed:
            raise OutOfTime(limit)
    _set_alarm()
