"""Everything that a run says about itself, as a stream of typed events.

The trainer emits; the run folder, the console and `--json` listen. No listener is known to the trainer.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, get_args

from tina_lite.util.errors import BadInput
from tina_lite.util.records import PhaseName, with_nan, without_nan


@dataclass(frozen=True, slots=True)
class RunStarted:
    """Said once, when a run folder exists and before the model is loaded."""

    event: ClassVar[str] = "run_started"
    name: str
    folder: str
    """Absolute."""
    version: str
    model: str
    engine: str
    device: str
    """Such as "cpu (2 threads)" or the card's name."""
    seed: int
    rate: float
    """US dollars per hour; the most, where electricity is measured."""
    rate_source: str
    max_usd: float | None
    max_hours: float | None
    max_steps: int | None
    resumed_from_step: int
    """0 for a fresh run."""
    unit_s: float = 0.0
    """The session is billed in whole units of so many seconds; 0: for what it used."""
    ends_at_s: float | None = None
    """Seconds of this session at which stop.max_hours, of which earlier sessions took their share, or stop.until end
    it; None without them."""
    planned_step_s: float | None = None
    """Seconds of a step as `tina_lite.plan` forecast them."""


@dataclass(frozen=True, slots=True)
class PhaseChanged:
    """The run begins another kind of work."""

    event: ClassVar[str] = "phase"
    phase: PhaseName
    step: int
    """The step under way; 0 before the first."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the phase is. Shown, not kept in events.jsonl."""

    event: ClassVar[str] = "progress"
    phase: PhaseName
    step: int
    done: int
    total: int
    unit: str
    """What is counted: "completions", "micro-batches", "problems"."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One completion with its rewards, for people to read."""

    question: str
    answer: str
    completion: str
    rewards: Mapping[str, float | None]
    total: float
    advantage: float
    finish_reason: str


@dataclass(frozen=True, slots=True)
class StepDone:
    """Says how one GRPO step went.

    `metrics` bears TRL's names (reward, rewards/NAME/mean, completions/mean_length, ...).
    """

    event: ClassVar[str] = "step"
    step: int
    steps_planned: int | None
    """Where the steps are bounded: by stop.max_steps."""
    metrics: Mapping[str, float]
    sample: Sample
    """The best of a group that teaches."""
    typical: Sample | None = None
    """The one nearest to the step's mean reward and length; None in logs of earlier versions."""


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A benchmark was measured."""

    event: ClassVar[str] = "eval"
    when: str
    """"before", "after", or "step"."""
    step: int
    benchmark: str
    pass_at_1: float
    ci95: tuple[float, float]
    problems: int
    samples: int
    mean_length: float


@dataclass(frozen=True, slots=True)
class CheckpointSaved:
    event: ClassVar[str] = "checkpoint"
    step: int
    path: str
    seconds: float


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line that a person should read: a fallback taken, rows skipped, a value out of its range."""

    event: ClassVar[str] = "notice"
    level: Literal["info", "warning"]
    text: str


@dataclass(frozen=True, slots=True)
class AlarmRaised:
    """Something is amiss (`runs.health.Alarm`). It is said once a session, until it was over in between."""

    event: ClassVar[str] = "alarm"
    step: int
    name: str
    words: str
    advice: str


@dataclass(frozen=True, slots=True)
class AlarmOver:
    """What an alarm said is so no more."""

    event: ClassVar[str] = "alarm_over"
    step: int
    name: str


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The end. `summary` is what summary.json holds."""

    event: ClassVar[str] = "run_finished"
    summary: Mapping[str, Any]


Event = (
    RunStarted
    | PhaseChanged
    | Progress
    | StepDone
    | Evaluated
    | CheckpointSaved
    | LogLine
    | AlarmRaised
    | AlarmOver
    | RunFinished
)


def alarms_after(on: tuple[AlarmRaised, ...], event: Event) -> tuple[AlarmRaised, ...]:
    """What is amiss after an event, where `on` was before it; a session begins with nothing."""
    match event:
        case RunStarted():
            return ()
        case AlarmRaised():
            return (*(one for one in on if one.name != event.name), event)
        case AlarmOver():
            return tuple(one for one in on if one.name != event.name)
        case _:
            return on


@dataclass(frozen=True, slots=True)
class Stamped:
    """An event with the time and the bill at which it was said."""

    at: float
    """Unix time, seconds."""
    elapsed_s: float
    """Since the process of this session started."""
    usd: float
    """The bill of the whole run so far."""
    event: Event

    def to_json(self) -> dict[str, Any]:
        """Make one flat object: the event's name, its stamp, its fields.

        NaN and infinity, which JSON lacks, become null.
        """
        return {
            "event": self.event.event,
            "at": round(self.at, 3),
            "elapsed_s": round(self.elapsed_s, 3),
            "usd": round(self.usd, 8),
            **without_nan(asdict(self.event)),
        }


KINDS: Mapping[str, type[Event]] = {kind.event: kind for kind in get_args(Event)}


def from_json(record: Mapping[str, Any]) -> Stamped:
    """The inverse of `Stamped.to_json`; a metric that is null reads as NaN.

    >>> stamped = Stamped(1.0, 2.0, 0.003, PhaseChanged("rollout", 7))
    >>> from_json(stamped.to_json()) == stamped
    True
    """
    fields = dict(record)
    try:
        kind = KINDS[fields.pop("event")]
        at, elapsed_s, usd = (float(fields.pop(name)) for name in ("at", "elapsed_s", "usd"))
        if kind is StepDone:
            for name in ("sample", "typical"):
                fields[name] = Sample(**fields[name]) if fields.get(name) else None
            fields["metrics"] = with_nan(fields["metrics"])
        if kind is Evaluated:
            fields["ci95"] = tuple(fields["ci95"])
        return Stamped(at, elapsed_s, usd, kind(**fields))
    except (KeyError, TypeError, ValueError) as fault:
        raise BadInput(f"not an event that this version of tina-lite knows ({fault}): {str(record)[:80]}") from fault


Listener = Callable[[Stamped], None]


class EventStream:
    """Stamps events and hands them to every listener, in order."""

    def __init__(self, elapsed_s: Callable[[], float], usd: Callable[[], float], wall: Callable[[], float] = time.time):
        self._elapsed_s = elapsed_s
        self._usd = usd
        self._wall = wall
        self._listeners: list[Listener] = []

    def subscribe(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def emit(self, event: Event) -> None:
        stamped = Stamped(self._wall(), self._elapsed_s(), self._usd(), event)
        for listener in self._listeners:
            listener(stamped)
