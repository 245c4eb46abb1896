"""The meter: usd = rate x hours since the process started, summed over every session of the run."""

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tina_lite.budget.clock import Clock, ProcessClock
from tina_lite.budget.ledger import Ledger, SessionBill, read_bills
from tina_lite.budget.rates import Rate

HEARTBEAT_S = 5.0
PHASES = ("load", "rollout", "reward", "update", "eval", "save", "other")


@dataclass(frozen=True, slots=True)
class Reading:
    """The bill at one moment."""

    usd: float
    """Of all sessions."""
    elapsed_s: float
    """Of this session."""
    total_s: float
    """Of all sessions."""
    rate: float
    """US dollars per hour, of this session."""
    seconds_by_phase: Mapping[str, float]
    """Of all sessions; adds up to total_s."""
    usd_by_phase: Mapping[str, float]
    """Adds up to usd."""

    @property
    def gpu_hours(self) -> float:
        return self.total_s / 3600


class Meter:
    """Counts time by phase and writes the ledger, with a heartbeat from a thread of its own.

    Until a phase is entered for the first time everything is load: imports are on the bill.
    """

    def __init__(self, rate: Rate, clock: Clock, earlier: list[SessionBill]) -> None:
        self._rate = rate.usd_per_hour
        self._clock = clock
        self._earlier = earlier
        self._lock = threading.Lock()
        self._phase = "load"
        self._seconds = dict.fromkeys(PHASES, 0.0)
        self._frozen_at_s: float | None = None
        self._ledger: Ledger | None = None
        self._stop_beating = threading.Event()
        self._thread: threading.Thread | None = None
        self.session = 1 + max((bill.session for bill in earlier), default=0)

    @classmethod
    def in_memory(cls, rate: Rate, clock: Clock | None = None) -> "Meter":
        """A meter that leaves no trace."""
        return cls(rate, clock or ProcessClock(), [])

    @classmethod
    def open(
        cls, path: Path, rate: Rate, *, clock: Clock | None = None, heartbeat_s: float = HEARTBEAT_S
    ) -> "Meter":
        """A meter that goes on with the bill in a ledger and writes its own session there."""
        clock = clock or ProcessClock()
        meter = cls(rate, clock, read_bills(path))
        meter._ledger = Ledger(path)
        start = {"pid": os.getpid(), "rate": rate.usd_per_hour, "rate_source": rate.source, "heartbeat_s": heartbeat_s}
        meter._write("start", **start)
        meter._thread = threading.Thread(target=meter._beat, args=(heartbeat_s,), name="heartbeat", daemon=True)
        meter._thread.start()
        return meter

    def elapsed_s(self) -> float:
        """Seconds of this session, from the start of the process."""
        return self._clock.elapsed_s() if self._frozen_at_s is None else self._frozen_at_s

    def usd(self) -> float:
        """The bill of the whole run."""
        return sum(bill.usd for bill in self._earlier) + self.elapsed_s() / 3600 * self._rate

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Charge what follows to a phase; phases nest, and the innermost is charged."""
        outer = self._enter(name)
        try:
            yield
        finally:
            self._enter("other" if outer == "load" else outer)

    def read(self) -> Reading:
        """The bill now; phases add up to the whole."""
        with self._lock:
            elapsed_s, seconds = self._now()
        usd_by_phase = {name: value / 3600 * self._rate for name, value in seconds.items()}
        for bill in self._earlier:
            for name, value in bill.seconds_by_phase.items():
                seconds[name] = seconds.get(name, 0.0) + value
                usd_by_phase[name] = usd_by_phase.get(name, 0.0) + value / 3600 * bill.rate
        usd = sum(bill.usd for bill in self._earlier) + elapsed_s / 3600 * self._rate
        total_s = sum(bill.seconds for bill in self._earlier) + elapsed_s
        return Reading(usd, elapsed_s, total_s, self._rate, seconds, usd_by_phase)

    def close(self) -> None:
        """End the session in the ledger; the bill is frozen."""
        if self._frozen_at_s is not None:
            return
        self._stop_beating.set()
        if self._thread is not None:
            self._thread.join()
        with self._lock:
            self._frozen_at_s, self._seconds = self._now()
        if self._ledger is not None:
            self._write("end", seconds_by_phase=self._rounded(self._seconds))
            self._ledger.close()

    def _enter(self, name: str) -> str:
        """Change the phase; returns the one before."""
        with self._lock:
            _, self._seconds = self._now()
            outer, self._phase = self._phase, name
            return outer

    def _now(self) -> tuple[float, dict[str, float]]:
        """Elapsed seconds, and the same by phase. The caller holds the lock."""
        if self._frozen_at_s is not None:
            return self._frozen_at_s, dict(self._seconds)
        elapsed_s = self._clock.elapsed_s()
        seconds = dict(self._seconds)
        seconds[self._phase] += elapsed_s - sum(seconds.values())
        return elapsed_s, seconds

    def _beat(self, interval_s: float) -> None:
        while not self._stop_beating.wait(interval_s):
            with self._lock:
                _, seconds = self._now()
            self._write("beat", seconds_by_phase=self._rounded(seconds))

    def _write(self, kind: str, **fields: Any) -> None:
        assert self._ledger is not None
        stamp = {"kind": kind, "session": self.session, "at": self._clock.wall(), "elapsed_s": self.elapsed_s()}
        self._ledger.append({**stamp, **fields})

    @staticmethod
    def _rounded(seconds: Mapping[str, float]) -> dict[str, float]:
        return {name: round(value, 6) for name, value in seconds.items()}
