"""Who looks at every finished step, and may speak or end the run: collapse, truncation, stop conditions, forecasts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from tina_lite.recipe import Recipe
from tina_lite.recipe.schema import OptimSection
from tina_lite.runs.checkpoint_manager import CheckpointManager
from tina_lite.runs.events import StepDone
from tina_lite.runs.metrics import step_metrics, step_samples
from tina_lite.runs.session import Session
from tina_lite.train.collect import Collected
from tina_lite.train.schedule import ETA_AFTER
from tina_lite.util.errors import TinaError
from tina_lite.util.records import Update
from tina_lite.util.stateful import Fields


@dataclass(frozen=True, slots=True)
class StepRecord:
    """Records a finished step, under the names of metrics.jsonl."""

    step: int
    metrics: dict[str, float]
    update: Update


@dataclass(slots=True)
class Recorder:
    """Tells everybody of each step."""

    session: Session
    optim: OptimSection
    max_steps: int

    def record(self, collected: Collected, update: Update, seconds: float) -> StepRecord:
        """Of the step that the run's state has just counted."""
        session, state, reading = self.session, self.session.state, self.session.meter.read()
        metrics = step_metrics(
            collected.groups,
            update,
            usd=reading.usd,
            usd_per_hour=reading.rate,
            decoded_tokens=collected.decoded_tokens,
            step_time_s=seconds,
        )
        metrics |= session.phases.peaks.metrics()
        if collected.resampled is not None:
            metrics |= collected.resampled.metrics()
        metrics["num_tokens"] = state.prompt_tokens + state.completion_tokens
        metrics["epoch"] = collected.epoch
        if self.optim.lr_horizon == "budget":
            metrics["lr_horizon"] = state.lr_progress
        if ahead := session.deadlines.eta(state.step):
            metrics["steps_left"], metrics["usd_at_end"] = ahead.steps, ahead.usd
        samples = step_samples(collected.groups)
        session.folder.keep_samples([{"step": state.step, **sample} for sample in samples.kept])
        session.events.emit(StepDone(state.step, self.max_steps, metrics, samples.shown, samples.typical))
        return StepRecord(state.step, metrics, update)


MAX_BAD_STEPS = 3


@dataclass(slots=True)
class NonfiniteSteps:
    """A step whose numbers are not finite changed nothing; three in a row will not mend themselves."""

    session: Session
    checkpoints: CheckpointManager
    stop_reason = None

    def look(self, record: StepRecord) -> None:
        state = self.session.state
        state.count_bad(record.update.finite)
        if not state.bad_steps:
            return
        self.session.warn(
            f"step {record.step}: a loss, gradient or log-prob is not finite; the step was skipped, "
            f"{state.skipped_steps} so far"
        )
        if state.bad_steps >= MAX_BAD_STEPS:
            good = self.checkpoints.fall_back()
            raise TinaError(
                f"{MAX_BAD_STEPS} steps in a row had numbers that are not finite; the adapter is that of the last good "
                f"checkpoint, step {good}; try a lower optim.learning_rate or model.compute_dtype=float32"
            )


IN_A_ROW = 5
LEAST_ENTROPY = 0.01
"""Nats a token."""
MOST_TRUNCATED = 0.5
FALLEN = 0.5
"""Of the best smoothed reward."""
SMOOTHING = 0.1
"""Weight of the newest step in the smoothed reward."""
SETTLED = 10
"""Steps before the smoothed reward says something."""


@dataclass(slots=True)
class CollapseSigns(Fields):
    """Signs that a policy has collapsed, seen in a run's own metrics; a checkpoint keeps all of it.

    | sign | what |
    | --- | --- |
    | entropy | the mean entropy at the trained tokens is near 0: nothing is left to explore |
    | equal | in every group all completions are the same text |
    | length | most completions run into rollout.max_completion_length |
    | reward | smoothed, it has fallen below half of its best |

    One step proves nothing: a sign counts once it has held for several in a row.
    """

    held: dict[str, int] = field(default_factory=dict)
    """Steps in a row for which each sign has held."""
    steps: int = 0
    reward: float = 0.0
    """Smoothed."""
    best: float = 0.0
    """The highest that the smoothed reward has been."""

    def after(self, metrics: Mapping[str, float]) -> list[str]:
        """Take note of a step; what there is to say of signs that count from this step on."""
        self._smooth(metrics["reward"])
        said = self._signs(metrics)
        self.held = {sign: self.held.get(sign, 0) + 1 for sign in said}
        return [said[sign] for sign, steps in self.held.items() if steps == IN_A_ROW]

    @property
    def collapsed(self) -> bool:
        return any(steps >= IN_A_ROW for steps in self.held.values())

    def _smooth(self, reward: float) -> None:
        self.steps += 1
        self.reward += (reward - self.reward) * max(SMOOTHING, 1 / self.steps)
        if self.steps >= SETTLED:
            self.best = max(self.best, self.reward)

    def _signs(self, metrics: Mapping[str, float]) -> dict[str, str]:
        """By sign, what a person is told; rewards that never were above 0 have no half."""
        found = {}
        if (entropy := metrics.get("entropy", 1.0)) < LEAST_ENTROPY:
            found["entropy"] = f"entropy is {entropy:.4f} nats a token: the policy explores no more"
        if metrics["frac_completions_equal"] == 1.0:
            found["equal"] = "in every group all completions are the same text: nothing can be learnt from them"
        if (truncated := metrics["completions/clipped_ratio"]) > MOST_TRUNCATED:
            found["length"] = f"{truncated:.0%} of the completions run into rollout.max_completion_length"
        if self.steps >= SETTLED and self.reward < FALLEN * self.best:
            found["reward"] = f"the reward has fallen to {self.reward:.3g} from {self.best:.3g}, both smoothed"
        return found


@dataclass(slots=True)
class CollapseWatch:
    """Says which signs count, and ends the run where the recipe wants that."""

    session: Session
    ends_run: bool
    _signs: CollapseSigns = field(default_factory=CollapseSigns)

    def look(self, record: StepRecord) -> None:
        for sign in self._signs.after(record.metrics):
            self.session.warn(f"step {record.step}: {sign}")

    @property
    def stop_reason(self) -> str | None:
        return "collapse" if self.ends_run and self._signs.collapsed else None

    def state(self) -> Any:
        return self._signs.state()

    def load_state(self, state: Any) -> None:
        self._signs.load_state(state)


@dataclass(slots=True)
class ConditionWatch:
    """Counts for how many steps in a row it has held; the stop rules ask for that."""

    session: Session
    stop_reason = None

    def look(self, record: StepRecord) -> None:
        condition, state = self.session.rules.condition, self.session.state
        if condition is None:
            return
        state.condition_streak = state.condition_streak + 1 if condition.holds(record.metrics) else 0


@dataclass(slots=True)
class CutOff:
    """Says so once: nothing that is right can be told from what is not finished."""

    session: Session
    stop_reason = None

    def look(self, record: StepRecord) -> None:
        if record.metrics["completions/clipped_ratio"] == 1:
            self.session.warn_once(
                f"all completions of step {record.step} were cut off before they ended; rollout.max_completion_length "
                "may be too short",
                "cut off",
            )


MUCH_LESS = 0.9
"""Of the steps that were asked for: fewer are worth a word."""


@dataclass(slots=True)
class EtaWatch:
    """Speaks once a session, as soon as its speed is known."""

    session: Session
    max_steps: int
    _steps: int = 0
    stop_reason = None

    def look(self, record: StepRecord) -> None:
        self._steps += 1
        left = record.metrics.get("steps_left")
        if left is not None and self._steps == ETA_AFTER and record.step + left < MUCH_LESS * self.max_steps:
            self.session.warn(
                f"at this speed {self.session.deadlines.limit()} pays for about {record.step + int(left)} of "
                f"{self.max_steps} steps"
            )


class Callback(Protocol):
    """Looks at one run."""

    def look(self, record: StepRecord) -> None:
        """At a step that was told to everybody. A TinaError ends the run."""
        ...

    @property
    def stop_reason(self) -> str | None:
        """Why no other step should begin; None where one may."""
        ...


def callbacks_of(session: Session, recipe: Recipe, max_steps: int) -> Mapping[str, Callback]:
    """All of a run by name, in the order in which they look."""
    return {
        "condition": ConditionWatch(session),
        "cut_off": CutOff(session),
        "collapse": CollapseWatch(session, ends_run=recipe.stop.on_collapse),
        "outlook": EtaWatch(session, max_steps),
    }
