"""A wall-clock limit for a block of Python: code that others wrote, or work that must end before money does.

Limits nest, and each is kept to its own second. An alarm reaches loops, waiting, and the regular expressions of `re`;
not a library's one long call outside Python. Alarms ring in the main thread only: in any other a block has no limit.
Who sets SIGALRM's one timer or takes its handler, as math-verify does for limits of its own, leaves these alone: a
thread sends another signal; and as a thread cannot act while `re` matches, so does the kernel, by the CPU's time.
"""

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

RING_AGAIN_S = 1.0
"""For code that swallows the first alarm."""
ALARM = signal.SIGPROF


class OutOfTime(BaseException):
    """Raised inside a block whose time is up. No Exception, so that the block's own `except Exception` lets it pass."""

    def __init__(self, limit: "Limit | None" = None) -> None:
        super().__init__()
        self.limit = limit
        """The one that was passed; None where the work itself saw that its time was up."""


class Limit:
    """Until when a block may run."""

    def __init__(self, seconds: float) -> None:
        self.deadline = time.monotonic() + seconds
        """By the monotonic clock."""
        self.quiet_until = 0.0

    @property
    def passed(self) -> bool:
        return time.monotonic() >= self.deadline

    def end_now(self) -> None:
        """The block's time is up at once."""
        self.deadline = min(self.deadline, time.monotonic())
        _set_alarm()
        signal.pthread_kill(_main(), ALARM)  # a timer of the kernel's may take some milliseconds

    def lift(self) -> None:
        """No alarm rings for this limit any more."""
        self.deadline = math.inf


class _Bell:
    """A thread that sends the main thread ALARM at a moment, and again each RING_AGAIN_S."""

    def __init__(self) -> None:
        self._at = math.inf
        self._changed = threading.Condition()  # its lock lets a handler of signals in that interrupts `ring_at`
        self._thread: threading.Thread | None = None

    def ring_at(self, moment: float) -> None:
        """By the monotonic clock; infinity: never. Once this returns nothing that was set before it rings."""
        with self._changed:
            self._at = moment
            self._changed.notify()
        if self._thread is None and moment < math.inf:
            self._thread = threading.Thread(target=self._ring, name="bell", daemon=True)
            self._thread.start()

    def _ring(self) -> None:
        with self._changed:
            while True:
                left_s = self._at - time.monotonic()
                if left_s > 0:
                    self._changed.wait(min(left_s, threading.TIMEOUT_MAX))
                else:
                    self._at = time.monotonic() + RING_AGAIN_S
                    signal.pthread_kill(_main(), ALARM)


def _main() -> int:
    main = threading.main_thread().ident
    assert main is not None
    return main


_bell = _Bell()
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
    if signal.getsignal(ALARM) is not _ring:
        signal.signal(ALARM, _ring)  # for good: it does nothing where no limit is
    before, _limits = _limits, (*_limits, limit)
    try:
        _set_alarm()
        try:
            yield limit
        finally:
            limit.lift()
    finally:  # by what was before, so that nothing is left over where an outer alarm rings in here
        _limits = before
        _set_alarm()


def _set_alarm() -> None:
    moment = min((limit.deadline for limit in _limits), default=math.inf)
    _bell.ring_at(moment)
    if moment == math.inf:
        signal.setitimer(signal.ITIMER_PROF, 0)
    else:
        signal.setitimer(signal.ITIMER_PROF, max(moment - time.monotonic(), 1e-6), RING_AGAIN_S)


def _ring(*_: object) -> None:
    now = time.monotonic()
    for limit in _limits:
        if limit.passed:
            if now < limit.quiet_until:  # the thread and the kernel ring for the same moment
                return
            limit.quiet_until = now + RING_AGAIN_S / 2
            raise OutOfTime(limit)
    _set_alarm()
