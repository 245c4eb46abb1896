"""What a run has come to, as its events tell it: the state that every picture is drawn from."""

import math
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from tina_lite.budget.limits import Limits
from tina_lite.budget.meter import Reading
from tina_lite.budget.money import billed_s
from tina_lite.runs.events import (
    AlarmRaised,
    CheckpointSaved,
    Evaluated,
    LogLine,
    PhaseChanged,
    Progress,
    RunFinished,
    RunStarted,
    Sample,
    Stamped,
    StepDone,
    alarms_after,
)
from tina_lite.runs.listing import ended_as
from tina_lite.util.records import PhaseName


class History:
    """Holds the steps so far. It never changes; what `plus` adds to is shared with it, as far as it goes."""

    __slots__ = ("_columns", "_numbers", "first", "latest", "steps")

    def __init__(self) -> None:
        self.steps = 0
        """How many."""
        self.first: Mapping[str, float] = {}
        """Metrics of the first."""
        self.latest: Mapping[str, float] = {}
        """Metrics of the last."""
        self._numbers = array("q")
        self._columns: dict[str, array[float]] = {}

    @property
    def number(self) -> int:
        """Of the latest step; 0 before there is one."""
        return self._numbers[self.steps - 1] if self.steps else 0

    def plus(self, number: int, metrics: Mapping[str, float]) -> "History":
        """Give the history with one more step."""
        more = self._shared() if len(self._numbers) == self.steps else self._copied(self.steps)
        for name in metrics.keys() - more._columns.keys():
            more._columns[name] = array("d", [math.nan]) * self.steps
        more._numbers.append(number)
        for name, column in more._columns.items():
            column.append(metrics.get(name, math.nan))
        more.steps, more.first = self.steps + 1, self.first or metrics
        more.latest = metrics
        return more

    def up_to(self, number: int) -> "History":
        """Give the history without the steps behind this one."""
        steps = next((at for at in range(self.steps, 0, -1) if self._numbers[at - 1] <= number), 0)
        kept = self._copied(steps)
        kept.steps, kept.first = steps, self.first if steps else {}
        kept.latest = {name: column[-1] for name, column in kept._columns.items()} if steps else {}
        return kept

    def series(self, metric: str) -> list[float]:
        """A metric over the steps, where it is known and finite."""
        return [value for value in self._columns.get(metric, ())[: self.steps] if math.isfinite(value)]

    def _shared(self) -> "History":
        more = History()
        more._numbers, more._columns = self._numbers, self._columns
        return more

    def _copied(self, steps: int) -> "History":
        more = History()
        more._numbers = self._numbers[:steps]
        more._columns = {name: column[:steps] for name, column in self._columns.items()}
        return more


PACE_OVER_STEPS = 10
LINES_KEPT = 50
SAMPLES_KEPT = 20


@dataclass(frozen=True, slots=True)
class Line:
    """A line to read: a notice, or what a library or a reward function printed."""

    level: Literal["info", "warning", "printed"]
    text: str


@dataclass(frozen=True, slots=True)
class Shown:
    """A completion with the step that it is of."""

    step: int
    sample: Sample


@dataclass(frozen=True, slots=True)
class Forecast:
    """When the run will end, and at which bill."""

    seconds: float
    usd: float
    ends_by: Literal["steps", "money", "hours"]
    steps: int | None
    """The last step that there will be; None while the pace is unknown."""


@dataclass(frozen=True, slots=True)
class ConsoleState:
    """A run as seen so far. `now` in the methods is the watcher's clock in seconds, the one that `after` was given."""

    started: RunStarted | None = None
    phase: PhaseName = "load"
    phase_from_s: float = 0.0
    """Session seconds, as `elapsed_s`."""
    phase_from_usd: float = 0.0
    usd_by_phase: Mapping[PhaseName, float] = field(default_factory=dict)
    """Of this session, up to the phase under way."""
    progress: Progress | None = None
    step: int = 0
    """Under way; 0 before the first."""
    steps_planned: int | None = None
    history: History = field(default_factory=History)
    marks_s: tuple[float, ...] = ()
    """Session seconds at which the first step began and the latest steps ended."""
    best: Shown | None = None
    """The latest of those with the highest reward so far."""
    earlier: tuple[Shown, ...] = ()
    """Typical ones of the latest steps, the newest last."""
    picked: Shown | None = None
    """The one that somebody wants to see."""
    evals: tuple[Evaluated, ...] = ()
    eval_s: float = 0.0
    """How long the latest evaluation took."""
    lines: tuple[Line, ...] = ()
    alarms: tuple[AlarmRaised, ...] = ()
    """What is amiss."""
    usd: float = 0.0
    elapsed_s: float = 0.0
    seen_at: float = math.inf
    """The watcher's clock at the latest event."""
    summary: Mapping[str, Any] | None = None
    gone: str = ""
    """Said of a run that ended without a summary; only who looks at its files can know."""

    @property
    def over(self) -> str:
        """Words for a run that does not go on; else empty."""
        return self.gone if self.summary is None else ended_as(str(self.summary.get("stop_reason")))

    @property
    def typical(self) -> Shown | None:
        """A completion of the latest step."""
        return self.earlier[-1] if self.earlier else None

    @property
    def steps_done(self) -> int:
        resumed_from = self.started.resumed_from_step if self.started else 0
        return self.history.number or resumed_from

    def latest(self, metric: str) -> float | None:
        """A metric's value in the latest step, if it is known and finite there."""
        value = self.history.latest.get(metric, math.nan)
        return value if math.isfinite(value) else None

    def reward_names(self) -> list[str]:
        """In the order in which they were met."""
        names = dict.fromkeys((*self.history.first, *self.history.latest))
        return [name.split("/")[1] for name in names if name.startswith("rewards/") and name.endswith("/mean")]

    def elapsed_at(self, now: float) -> float:
        """Seconds of this session; they run on between events."""
        return self.elapsed_s if self.over else self.elapsed_s + max(0.0, now - self.seen_at)

    def usd_at(self, now: float) -> float:
        """The bill, which runs on as well."""
        return self.usd + self._session_usd(self.elapsed_at(now)) - self._session_usd(self.elapsed_s)

    def _session_usd(self, elapsed_s: float) -> float:
        """What a session of this length is billed for."""
        return billed_s(elapsed_s, self.started.unit_s) * self.started.rate / 3600 if self.started else 0.0

    def phase_usd_at(self, now: float) -> dict[PhaseName, float]:
        """Give the dollars of this session by phase."""
        under_way = self.usd_by_phase.get(self.phase, 0.0) + self.usd_at(now) - self.phase_from_usd
        return {**self.usd_by_phase, self.phase: under_way}

    def seconds_per_step(self) -> float | None:
        """Seconds a step, over the latest steps."""
        return (self.marks_s[-1] - self.marks_s[0]) / (len(self.marks_s) - 1) if len(self.marks_s) > 1 else None

    def forecast(self, now: float) -> Forecast | None:
        """The first limit that will be met at the present pace; None where none is known yet."""
        limits = self._limits(now)
        if not limits or self.started is None:
            return None
        seconds, ends_by = min(limits)
        elapsed_s = self.elapsed_at(now)
        usd = self.usd_at(now) + self._session_usd(elapsed_s + seconds) - self._session_usd(elapsed_s)
        return Forecast(seconds, usd, ends_by, self._last_step(seconds, ends_by, now))

    def affordable_steps(self, now: float) -> int | None:
        """Steps after the latest for which the budget has money; None where there is no budget, or no pace yet."""
        started, seconds_per_step = self.started, self.seconds_per_step()
        if started is None or started.max_usd is None or not started.rate or not seconds_per_step:
            return None
        left_s = self._left(Limits(max_usd=started.max_usd), started, now)
        return max(0, int((left_s - self._closing_s(now) + self._since_step_s(now)) / seconds_per_step))

    def _left(self, limits: Limits, started: RunStarted, now: float) -> float:
        """Seconds that a limit of time or money leaves; inf where there is none."""
        elapsed_s = self.elapsed_at(now)
        reading = Reading(self.usd_at(now), elapsed_s, elapsed_s, elapsed_s, started.rate, {}, {}, started.unit_s)
        return limits.left(reading).seconds

    def _limits(self, now: float) -> list[tuple[float, Literal["steps", "money", "hours"]]]:
        """Seconds to each limit. Before a pace is known a planned number of steps tells nothing, nor does the rest."""
        started, seconds_per_step = self.started, self.seconds_per_step()
        if started is None or self.over or (self.steps_planned and seconds_per_step is None):
            return []
        limits: list[tuple[float, Literal["steps", "money", "hours"]]] = []
        if self.steps_planned and seconds_per_step is not None:
            limits.append((self._steps_s(seconds_per_step, now) + self._closing_s(now), "steps"))
        money, hours = Limits(max_usd=started.max_usd), Limits(until_s=started.ends_at_s)
        bounds: tuple[tuple[Limits, Literal["money", "hours"]], ...] = ((money, "money"), (hours, "hours"))
        for limit, name in bounds:
            if (left_s := self._left(limit, started, now)) < math.inf:
                limits.append((max(0.0, left_s), name))
        return limits

    def _steps_s(self, seconds_per_step: float, now: float) -> float:
        left = max(0, (self.steps_planned or 0) - self.steps_done)
        return max(0.0, left * seconds_per_step - min(seconds_per_step, self._since_step_s(now))) if left else 0.0

    def _since_step_s(self, now: float) -> float:
        return self.elapsed_at(now) - self.marks_s[-1]

    def _closing_s(self, now: float) -> float:
        """A run that was measured before training is measured after it."""
        if any(result.when == "after" for result in self.evals):
            return 0.0
        spent = self.elapsed_at(now) - self.phase_from_s if self.phase == "eval" else 0.0
        return max(0.0, self.eval_s - spent)

    def _last_step(self, seconds: float, ends_by: str, now: float) -> int | None:
        if ends_by == "steps":
            return self.steps_planned
        seconds_per_step = self.seconds_per_step()
        if not seconds_per_step:
            return None
        training = max(0.0, seconds - self._closing_s(now) + self._since_step_s(now))
        return self.steps_done + int(training / seconds_per_step)


def after(state: ConsoleState, stamped: Stamped, now: float) -> ConsoleState:
    """The state once an event was seen at `now` seconds of the watcher's clock."""
    on = alarms_after(state.alarms, stamped.event)
    state = replace(state, usd=stamped.usd, elapsed_s=stamped.elapsed_s, seen_at=now, alarms=on)
    match stamped.event:
        case RunStarted() as started:
            return _after_start(state, started)
        case PhaseChanged() as change:
            return _after_phase(state, change)
        case Progress() as progress:
            return replace(state, progress=progress)
        case StepDone() as done:
            return _after_step(state, done)
        case Evaluated() as result:
            return replace(state, evals=(*state.evals, result), eval_s=state.elapsed_s - state.phase_from_s)
        case CheckpointSaved() as saved:
            return with_line(state, Line("info", f"checkpoint of step {saved.step} saved in {saved.seconds:.1f} s"))
        case LogLine() as notice:
            return with_line(state, Line(notice.level, notice.text))
        case RunFinished() as finished:
            return replace(state, summary=finished.summary)
    return state


def with_line(state: ConsoleState, line: Line) -> ConsoleState:
    return replace(state, lines=(*state.lines, line)[-LINES_KEPT:])


def _after_start(state: ConsoleState, started: RunStarted) -> ConsoleState:
    """A resumed run takes up its history at the step that was saved; time and phases start afresh."""
    return replace(
        state,
        started=started,
        step=started.resumed_from_step,
        steps_planned=started.max_steps,
        history=state.history.up_to(started.resumed_from_step),
        marks_s=(),
        phase="load",
        phase_from_s=0.0,
        phase_from_usd=state.usd - billed_s(state.elapsed_s, started.unit_s) * started.rate / 3600,
        usd_by_phase={},
        progress=None,
        summary=None,
        gone="",
    )


def _after_phase(state: ConsoleState, change: PhaseChanged) -> ConsoleState:
    first_rollout = change.phase == "rollout" and not state.marks_s
    return replace(
        state,
        phase=change.phase,
        step=max(state.step, change.step),
        progress=None,
        usd_by_phase=state.phase_usd_at(state.seen_at),
        phase_from_s=state.elapsed_s,
        phase_from_usd=state.usd,
        marks_s=(state.elapsed_s,) if first_rollout else state.marks_s,
    )


def _after_step(state: ConsoleState, done: StepDone) -> ConsoleState:
    best = state.best
    return replace(
        state,
        step=done.step,
        steps_planned=done.steps_planned,
        history=state.history.plus(done.step, done.metrics),
        marks_s=(*state.marks_s, state.elapsed_s)[-PACE_OVER_STEPS - 1 :],
        best=Shown(done.step, done.sample) if best is None or done.sample.total >= best.sample.total else best,
        earlier=(*state.earlier, Shown(done.step, done.typical or done.sample))[-SAMPLES_KEPT:],
    )
