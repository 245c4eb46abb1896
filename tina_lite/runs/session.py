"""What all rooms of a run share: what it is doing, said, charged to its phase, and its memory measured."""

import resource
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import inf
from types import FrameType, TracebackType
from typing import Any

from tina_lite.budget.limits import Deadlines, Limits, Stopwatch
from tina_lite.budget.meter import Meter
from tina_lite.runs.events import EventStream, LogLine, PhaseChanged, Progress
from tina_lite.runs.folder import RunFolder
from tina_lite.runs.state import RunState
from tina_lite.util.records import PhaseName
from tina_lite.util.wall_clock import Limit, wall_clock_limit

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
    def limited(self, seconds: float = inf) -> Iterator[None]:
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


class Phases:
    """One for all rooms that a run goes through."""

    def __init__(self, meter: Meter, events: EventStream, took: Callable[[str, float], None]) -> None:
        """`took` is told the seconds of each phase that came to its end."""
        self._meter = meter
        self._events = events
        self._took = took
        self.peaks = PeakMemory.of_this_process()

    @contextmanager
    def __call__(self, phase: PhaseName, step: int) -> Iterator[Stopwatch]:
        watch = Stopwatch(self._meter)
        self._events.emit(PhaseChanged(phase, step))
        with self._meter.phase(phase), self.peaks.phase(phase):
            yield watch
        watch.end()
        if watch.is_typical:
            self._took(phase, watch.seconds)

    def progress(self, phase: PhaseName, step: int, unit: str) -> Callable[[int, int], None]:
        """Give what is told (done, in all)."""
        return lambda done, total: self._events.emit(Progress(phase, step, done, total, unit))


class PeakMemory:
    """Counts while phases run. `cuda` is torch.cuda, or None where no card is used."""

    def __init__(self, cuda: Any) -> None:
        self._cuda = cuda
        self._most = 0
        self._by_phase: dict[str, int] = {}

    @classmethod
    def of_this_process(cls) -> "PeakMemory":
        import torch

        return cls(torch.cuda if torch.cuda.is_available() else None)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Allocations of the card belong to this phase; what is there already counts too."""
        if self._cuda is not None:
            self._take_note()
            self._cuda.reset_peak_memory_stats()
        yield
        if self._cuda is not None:
            self._by_phase[name] = max(self._by_phase.get(name, 0), int(self._cuda.max_memory_allocated()))

    def metrics(self) -> dict[str, float]:
        """Give peak_bytes, and for a card peak_bytes/PHASE and peak_share.

        They are what torch took of the card and what tensors held of it; without one, this process's resident size.
        """
        if self._cuda is None:
            return {"peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}
        self._take_note()
        by_phase = {f"peak_bytes/{name}": peak for name, peak in self._by_phase.items()}
        return {"peak_bytes": self._most, "peak_share": self._most / self._cuda.mem_get_info()[1], **by_phase}

    def _take_note(self) -> None:
        self._most = max(self._most, int(self._cuda.max_memory_reserved()))


@dataclass(frozen=True, slots=True)
class Session:
    """One process's share of a run; each room takes it whole, and uses what it needs."""

    folder: RunFolder
    meter: Meter
    events: EventStream
    stop: StopRequest
    """True once a signal came."""
    deadlines: Deadlines
    phases: Phases
    state: RunState
    """What the run has come to, all sessions together."""
    _warned: set[str] = field(default_factory=set)

    @classmethod
    def begin(
        cls, folder: RunFolder, meter: Meter, limits: Limits, events: EventStream, stop: StopRequest, iterations: int
    ) -> "Session":
        """Begin a session; `iterations` are optimiser steps on one rollout."""
        state = RunState()
        deadlines = Deadlines(meter, limits, lambda: bool(stop), iterations, lambda: (state.step, state.tokens))
        return cls(folder, meter, events, stop, deadlines, Phases(meter, events, deadlines.timings.took), state)

    def warn(self, text: str) -> None:
        """Something that a person should know."""
        self.events.emit(LogLine("warning", text))

    def warn_once(self, text: str, matter: str) -> None:
        """The same, once, however often the matter comes up."""
        if matter not in self._warned:
            self._warned.add(matter)
            self.warn(text)

    def log_what_did_not_fit(self, why: str) -> None:
        """Why the run ends with money or time left."""
        kept, left = f"{self.deadlines.reserve_s:.1f} s are kept for closing", self.deadlines.left()
        self.events.emit(LogLine("info", f"{left.limit} leaves {left.seconds:.1f} s: {kept}, and {why}"))
