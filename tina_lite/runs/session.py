"""What the rooms of a run share in one process: bill and limits, the folder, who listens, who may ask it to end."""

from dataclasses import dataclass, field

from tina_lite.budget.meter import Meter
from tina_lite.budget.pace import Pace
from tina_lite.budget.stops import StopRules
from tina_lite.runs.events import EventStream, Notice
from tina_lite.runs.folder import RunFolder
from tina_lite.runs.phases import Phases
from tina_lite.runs.signals import StopRequest
from tina_lite.runs.state import RunState


@dataclass(frozen=True, slots=True)
class Session:
    """One process's share of a run; each room takes it whole, and uses what it needs."""

    folder: RunFolder
    meter: Meter
    rules: StopRules
    events: EventStream
    stop: StopRequest
    """True once a signal came."""
    pace: Pace
    phases: Phases
    state: RunState = field(default_factory=RunState)
    """What the run has come to, all sessions together."""
    _said: set[str] = field(default_factory=set)

    @classmethod
    def begin(
        cls, folder: RunFolder, meter: Meter, rules: StopRules, events: EventStream, stop: StopRequest, iterations: int
    ) -> "Session":
        """`iterations`: optimiser steps on one rollout."""
        pace = Pace(meter, rules, lambda: bool(stop), iterations)
        return cls(folder, meter, rules, events, stop, pace, Phases(meter, events))

    def notice(self, text: str) -> None:
        """Something that a person should know."""
        self.events.emit(Notice("warning", text))

    def say_once(self, text: str, matter: str) -> None:
        """The same, once, however often the matter comes up."""
        if matter not in self._said:
            self._said.add(matter)
            self.notice(text)

    def say_what_did_not_fit(self, why: str) -> None:
        """Why the run ends with money or time left."""
        kept = f"{self.pace.reserve_s:.1f} s are kept for closing"
        left_s = self.pace.left_s() or 0.0
        self.events.emit(Notice("info", f"{self.pace.limit()} leaves {left_s:.1f} s: {kept}, and {why}"))
