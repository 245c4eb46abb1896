"""The meter: usd = rate x hours since the process started, summed over every session of the run.

Hours are those that are billed (money.py); where electricity is measured, the rate is the mean so far (rates.py).
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from math import ceil
from pathlib import Path
from typing import Any, Protocol

from tina_lite.budget.ledger import Ledger, SessionBill, mean_rate, read_bills
from tina_lite.budget.money import affordable_s, billed_s
from tina_lite.budget.rates import SAMPLE_S, EnergyMeter, Rate, dollars
from tina_lite.util.errors import NoRoom
from tina_lite.util.records import PHASES, PhaseName

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
    if hasattr(sys, "ps1"):  # IPython and its kernels have prompts too
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


HEARTBEAT_S = 5.0
PACE = 0.8
"""Beats come after this share of the interval: the next one is on the disk before a killed run is undercharged."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Says what the bill is at one moment."""

    usd: float
    """Of all sessions, as billed."""
    elapsed_s: float
    """Of this session."""
    total_s: float
    """Of all sessions."""
    billed_s: float
    """Of all sessions, in the units in which they are billed."""
    rate: float
    """US dollars per hour, of this session; the most, where electricity is measured."""
    seconds_by_phase: Mapping[str, float]
    """Of all sessions; adds up to total_s, to the last bit."""
    usd_by_phase: Mapping[str, float]
    """Adds up to usd, to the last bit where nothing is rounded up; what is rounded up is in "other"."""
    unit_s: float = 0.0
    """What is billed of this session is rounded up to whole units."""

    @classmethod
    def at_the_start(cls, rate: Rate | None) -> "Reading":
        """The bill of a run that has not begun; where no rate is known, money limits nothing."""
        usd_per_hour, unit_s = (rate.usd_per_hour, rate.unit_s) if rate else (0.0, 0.0)
        return cls(0.0, 0.0, 0.0, 0.0, usd_per_hour, {}, {}, unit_s)

    @property
    def gpu_hours(self) -> float:
        """The hours that were used, of which fewer may be billed."""
        return self.total_s / 3600

    def more_s(self, seconds: float) -> float:
        """By how much the billed seconds grow if this session goes on for so long."""
        return billed_s(self.elapsed_s + seconds, self.unit_s) - billed_s(self.elapsed_s, self.unit_s)

    def usd_in(self, seconds: float) -> float:
        """The bill if this session goes on for so long."""
        return self.usd + self.more_s(seconds) / 3600 * self.rate

    def affordable_s(self, max_usd: float) -> float:
        """Seconds that this session may go on before the bill passes `max_usd`, at a rate above 0."""
        return affordable_s(max_usd - self.usd, self.rate, self.elapsed_s, self.unit_s)

    def seconds_to(self, max_hours: float) -> float:
        """Seconds that this session may go on before more hours than these are billed."""
        return affordable_s(max_hours - self.billed_s / 3600, 1.0, self.elapsed_s, self.unit_s)


class Meter:
    """Counts time by phase and writes the ledger, with a heartbeat from a thread of its own.

    Until a phase is entered for the first time everything is load: imports are on the bill. One thread enters and
    leaves phases; any may read.
    """

    def __init__(self, rate: Rate, clock: Clock, earlier: Sequence[SessionBill]) -> None:
        self._rate = rate
        self._clock = clock
        self._earlier = earlier
        self._energy = None if rate.power is None else EnergyMeter(rate.power)
        self._lock = threading.Lock()
        """Held for arithmetic only, never while the disk is waited for."""
        self._phase: PhaseName = "load"
        self._depth = 0
        self._seconds: dict[str, float] = dict.fromkeys(PHASES, 0.0)
        self._closed = False
        self._ledger: Ledger | None = None
        self._stop_beating = threading.Event()
        self._thread: threading.Thread | None = None
        self.tell: Callable[[], None] = lambda: None
        """Called where what is charged has changed, and at each beat (guard.py)."""
        self.session = 1 + max((bill.session for bill in earlier), default=0)

    @classmethod
    def in_memory(cls, rate: Rate, clock: Clock | None = None, earlier: Sequence[SessionBill] = ()) -> "Meter":
        """A meter that leaves no trace."""
        return cls(rate, clock or ProcessClock(), earlier)

    @classmethod
    def open(cls, path: Path, rate: Rate, *, clock: Clock | None = None, heartbeat_s: float = HEARTBEAT_S) -> "Meter":
        """A meter that goes on with the bill in a ledger and writes its own session there."""
        clock = clock or ProcessClock()
        meter = cls(rate, clock, read_bills(path))
        meter._ledger = Ledger(path)
        start = {"pid": os.getpid(), "rate": rate.usd_per_hour, "rate_source": rate.source, "unit_s": rate.unit_s}
        if rate.power is not None:
            start["usd_per_kwh"] = rate.power.usd_per_kwh
        meter._write("start", **start, heartbeat_s=heartbeat_s)
        meter._thread = threading.Thread(target=meter._beat, args=(heartbeat_s,), name="heartbeat", daemon=True)
        meter._thread.start()
        return meter

    def elapsed_s(self) -> float:
        """Seconds of this session, from the start of the process."""
        return sum(self._session_seconds().values())

    def usd(self) -> float:
        """The bill of the whole run."""
        return self.read().usd

    @property
    def phase_now(self) -> PhaseName:
        """What is charged at this moment."""
        return self._phase

    @contextmanager
    def phase(self, name: PhaseName) -> Iterator[None]:
        """Charge what follows to a phase; phases nest, and the innermost is charged."""
        outer: PhaseName = self._phase if self._depth else "other"
        self._enter(name, +1)
        try:
            yield
        finally:
            self._enter(outer, -1)

    def read(self) -> Reading:
        """Read the bill as it is now."""
        session = self.bill()
        bills = (*self._earlier, session)
        seconds: dict[str, float] = dict.fromkeys(PHASES, 0.0)
        usd: dict[str, float] = dict.fromkeys(PHASES, 0.0)
        for bill in bills:
            for name, value in bill.seconds_by_phase.items():
                seconds[name] = seconds.get(name, 0.0) + value
                usd[name] = usd.get(name, 0.0) + value / 3600 * bill.rate
        total_usd = sum(usd.values())
        if any(bill.unit_s for bill in bills):
            # Whole units make round sums, and without picodollars of binary noise 0.1 + 0.2 is 0.3.
            total_usd = round(sum(bill.usd for bill in bills), 12)
            usd["other"] += max(0.0, total_usd - sum(usd.values()))
        total_s = sum(seconds.values())
        rounded_s = sum(billed_s(bill.seconds, bill.unit_s) for bill in bills)
        rate, unit_s = self._rate.usd_per_hour, self._rate.unit_s
        return Reading(total_usd, session.seconds, total_s, rounded_s, rate, seconds, usd, unit_s)

    def bill(self) -> SessionBill:
        """The bill of this session so far."""
        seconds, rate = self._session_seconds(), self._rate.usd_per_hour
        if self._energy is not None:
            elapsed_s = sum(seconds.values())
            rate = mean_rate(dollars(self._energy.joules(elapsed_s), self._energy.usd_per_kwh), elapsed_s)
        return SessionBill(self.session, rate, seconds, self._rate.unit_s)

    def close(self) -> None:
        """End the session in the ledger; the bill is frozen."""
        if self._closed:
            return
        self._stop_beating.set()
        if self._thread is not None:
            self._thread.join()
        with self._lock:
            self._seconds = self._now()
            self._closed = True
        if self._ledger is not None:
            try:
                self._write("end", seconds_by_phase=self._seconds)
            finally:
                self._ledger.close()
        self.tell()

    def last_line(self) -> dict[str, Any]:
        """What whoever closes the bill of this session, if this process does not, must know beside its seconds."""
        line: dict[str, Any] = {"kind": "end", "session": self.session}
        most_watts = 0.0
        if self._energy is not None:
            line["joules"] = self._energy.joules(self.elapsed_s())
            most_watts = self._rate.power.most_watts if self._rate.power else 0.0
        path = None if self._ledger is None else str(self._ledger.path)
        return {"ledger": path, "closed": self._closed, "end": line, "most_watts": most_watts}

    def _enter(self, name: PhaseName, deeper: int) -> None:
        with self._lock:
            self._seconds = self._now()
            self._phase = name
            self._depth += deeper
        self.tell()

    def _session_seconds(self) -> dict[str, float]:
        """Of this session, by phase."""
        with self._lock:
            return self._now()

    def _now(self) -> dict[str, float]:
        """The same, for who holds the lock: what the clock has beyond the sum belongs to the phase under way."""
        seconds = dict(self._seconds)
        if not self._closed:
            seconds[self._phase] += max(0.0, self._clock.elapsed_s() - sum(seconds.values()))
        return seconds

    def _beat(self, interval_s: float) -> None:
        samples = 1 if self._energy is None else ceil(interval_s * PACE / SAMPLE_S)
        for number in count(1):
            if self._stop_beating.wait(interval_s * PACE / samples):
                return
            if self._energy is not None:
                self._energy.sample(self.elapsed_s())
            if number % samples:
                continue
            self.tell()
            with suppress(NoRoom):  # a full disk may have room at the next beat; if it has none, closing says so
                self._write("beat", seconds_by_phase=self._session_seconds())

    def _write(self, kind: str, **fields: Any) -> None:
        assert self._ledger is not None
        seconds = fields.get("seconds_by_phase") or self._session_seconds()
        elapsed_s = sum(seconds.values())
        stamp = {"kind": kind, "session": self.session, "at": self._clock.wall(), "elapsed_s": elapsed_s}
        if self._energy is not None:
            stamp["joules"] = self._energy.joules(elapsed_s)
        self._ledger.append({**stamp, **fields})
