"""What a run is doing: said, charged to its phase, and its memory measured."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tina_lite.budget.meter import Meter
from tina_lite.records import PhaseName
from tina_lite.runs.events import EventStream, PhaseChanged, Progress
from tina_lite.runs.peak_memory import PeakMemory


class Phases:
    """One for all rooms that a run goes through."""

    def __init__(self, meter: Meter, events: EventStream) -> None:
        self._meter = meter
        self._events = events
        self.peaks = PeakMemory.of_this_process()

    @contextmanager
    def __call__(self, phase: PhaseName, step: int) -> Iterator[None]:
        self._events.emit(PhaseChanged(phase, step))
        with self._meter.phase(phase), self.peaks.phase(phase):
            yield

    def progress(self, phase: PhaseName, step: int, unit: str) -> Callable[[int, int], None]:
        """Told (done, in all)."""
        return lambda done, total: self._events.emit(Progress(phase, step, done, total, unit))
