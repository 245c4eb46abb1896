"""Time as a bill sees it: from the moment the operating system made the process, sleep of the machine included."""

import os
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
    """The real one. It counts CLOCK_BOOTTIME, as a rented card is paid for while the machine is suspended."""

    def __init__(self) -> None:
        self._origin = _boottime() - process_age_s()

    def elapsed_s(self) -> float:
        return _boottime() - self._origin

    def wall(self) -> float:
        return time.time()


def process_age_s() -> float:
    """Seconds since the operating system started this process; where it does not say, since this module's import."""
    try:
        # Field 22 of stat, counted behind the last bracket: a program's name may hold anything.
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - started)
    except (OSError, ValueError, IndexError, AttributeError):
        return time.monotonic() - _IMPORTED_AT


def _boottime() -> float:
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)
