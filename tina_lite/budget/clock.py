"""Time as a bill sees it: from the moment the operating system made the process, sleep of the machine included."""

import os
import sys
import time
from pathlib import Path
from typing import Protocol

_IMPORTED_AT = time.monotonic()


class Clock(Protocol):
    """Where a meter reads its time; tests hand in one that they wind themselves."""

    def elapsed_s(self) -> float:
        """Seconds since this process was started; never goes back."""
        ...

    def wall(self) -> float:
        """Unix time, for the record only: it may jump."""
        ...


class ProcessClock:
    """Of a run in this process. It counts CLOCK_BOOTTIME, as a rented card is paid for while the machine is suspended.

    The first run began with the process, and a later one where the one before ended. At a prompt or in a notebook,
    which is open for hours, each begins when it is called for.
    """

    def __init__(self) -> None:
        self._origin = _begun_at() if _origin is None else _origin

    def elapsed_s(self) -> float:
        return _boottime() - self._origin

    def wall(self) -> float:
        return time.time()


_origin: float | None = None
"""When the run under way began; None before the first."""
_ended_at: float | None = None
"""When the last run of this process ended."""


def begin_run() -> None:
    """What follows belongs to a new run."""
    global _origin
    _origin = _begun_at()


def end_run() -> None:
    """The bill of the run under way is closed."""
    global _ended_at
    _ended_at = _boottime()


def _begun_at() -> float:
    if hasattr(sys, "ps1") or "ipykernel" in sys.modules:
        return _boottime()
    return _boottime() - process_age_s() if _ended_at is None else _ended_at


def process_age_s() -> float:
    """Seconds since the operating system started this process; where it does not say, since this module's import."""
    since_import = time.monotonic() - _IMPORTED_AT
    try:
        started = start_ticks(Path("/proc/self/stat").read_text()) / os.sysconf("SC_CLK_TCK")
        return max(since_import, time.clock_gettime(time.CLOCK_BOOTTIME) - started)
    except (OSError, ValueError, IndexError, AttributeError):
        return since_import


def start_ticks(stat: str) -> int:
    """Clock ticks from boot to the start of a process: field 22 of its /proc/PID/stat (proc(5)).

    Counted behind the last bracket, as a program's name may hold anything.

    >>> start_ticks("7 (a) b (c)) R 1 7 7 0 -1 4194304 86 0 0 0 0 0 0 0 20 0 1 0 434938 11046912 1284")
    434938
    """
    return int(stat.rpartition(")")[2].split()[19])


def _boottime() -> float:
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)
