"""Who looks on as a run trains, and may end it: alarms, stop conditions, checkpoints, evaluations, a user's own."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from tina_lite.budget.conditions import Condition
from tina_lite.eval.evaluator import Evaluator
from tina_lite.recipe import Recipe
from tina_lite.runs.checkpoint_manager import CheckpointManager
from tina_lite.runs.events import AlarmRaised
from tina_lite.runs.health import COLLAPSED_ENTROPY, COLLAPSED_REWARD, COLLAPSED_TRUNCATION, LOOKED_AT, alarms
from tina_lite.runs.look import records
from tina_lite.runs.session import Session
from tina_lite.runs.state import Count
from tina_lite.train.recorder import StepRecord
from tina_lite.train.schedule import ETA_AFTER
from tina_lite.util.errors import TinaError, one_line
from tina_lite.util.stateful import Fields, read_as
from tina_lite.util.user_code import guest
from tina_lite.util.wall_clock import OutOfTime, wall_clock_limit


class Callback:
    """Looks at one run as it goes; each overrides what it is there for."""

    kept: Fields | None = None
    """What must outlast a resume; every checkpoint holds it."""

    @property
    def stop_reason(self) -> str | None:
        """Why no other step should begin; None where one may."""
        return None

    def on_begin(self) -> None:
        """Before the first step of this session."""

    def before_step(self, step: int) -> None:
        """Before anything of a step is sampled."""

    def after_step(self, record: StepRecord) -> None:
        """After a step that was told to everybody. A TinaError ends the run."""

    def on_end(self) -> None:
        """After the last step of this session, also where a signal ends it."""

    def summary(self) -> Mapping[str, Any]:
        """What summary.json says of it."""
        return {}

    def state(self) -> Any:
        """Plain JSON."""
        return None if self.kept is None else self.kept.state()

    def load_state(self, state: Any) -> None:
        """Go on from `state`."""
        if self.kept is not None:
            self.kept.load_state(state)


class StopFile(Callback):
    """Ends the run where somebody asks for it by a file."""

    def __init__(self, session: Session) -> None:
        self._folder = session.folder

    @property
    def stop_reason(self) -> str | None:
        return "stop_file" if self._folder.asked_to_stop() else None


@dataclass(slots=True)
class Streak(Fields):
    """Steps in a row on which a condition held."""

    condition_streak: Annotated[Count, read_as("condition_streak", "held")] = 0


class ConditionWatch(Callback):
    """Ends the run once `stop.when` has held for `stop.patience` steps in a row."""

    def __init__(self, condition: Condition, patience: int) -> None:
        self._condition = condition
        self._patience = condition.steps or patience
        self.kept: Streak = Streak()

    @property
    def stop_reason(self) -> str | None:
        return "stop_when" if self.kept.condition_streak >= self._patience else None

    def after_step(self, record: StepRecord) -> None:
        self.kept.condition_streak = self.kept.condition_streak + 1 if self._condition.holds(record.metrics) else 0


MAX_BAD_STEPS = 3


@dataclass(slots=True)
class BadSteps(Fields):
    """Counts steps whose numbers were not finite."""

    bad_steps: Count = 0
    """In a row."""
    skipped_steps: Count = 0
    """In all."""


class NonfiniteSteps(Callback):
    """A step whose numbers are not finite changed nothing; three in a row will not mend themselves."""

    def __init__(self, session: Session, checkpoints: CheckpointManager) -> None:
        self._session = session
        self._checkpoints = checkpoints
        self.kept: BadSteps = BadSteps()

    def after_step(self, record: StepRecord) -> None:
        kept = self.kept
        if record.update.finite:
            kept.bad_steps = 0
            return
        kept.bad_steps, kept.skipped_steps = kept.bad_steps + 1, kept.skipped_steps + 1
        self._session.warn(
            f"step {record.step}: a loss, gradient or log-prob is not finite; the step was skipped, "
            f"{kept.skipped_steps} so far"
        )
        if kept.bad_steps >= MAX_BAD_STEPS:
            good = self._checkpoints.fall_back()
            raise TinaError(
                f"{MAX_BAD_STEPS} steps in a row had numbers that are not finite; the adapter is that of the last good "
                f"checkpoint, step {good}; try a lower optim.learning_rate or model.compute_dtype=float32"
            )

    def summary(self) -> Mapping[str, Any]:
        return {"skipped_steps": self.kept.skipped_steps}


IN_A_ROW = 5
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
        if (entropy := metrics.get("entropy", 1.0)) < COLLAPSED_ENTROPY:
            found["entropy"] = f"entropy is {entropy:.4f} nats a token: the policy explores no more"
        if metrics["frac_completions_equal"] == 1.0:
            found["equal"] = "in every group all completions are the same text: nothing can be learnt from them"
        if (truncated := metrics["completions/clipped_ratio"]) > COLLAPSED_TRUNCATION:
            found["length"] = f"{truncated:.0%} of the completions run into rollout.max_completion_length"
        if self.steps >= SETTLED and self.reward < COLLAPSED_REWARD * self.best:
            found["reward"] = f"the reward has fallen to {self.reward:.3g} from {self.best:.3g}, both smoothed"
        return found


class CollapseWatch(Callback):
    """Says which signs count, and ends the run where the recipe wants that."""

    def __init__(self, session: Session, ends_run: bool) -> None:
        self._session = session
        self._ends_run = ends_run
        self.kept: CollapseSigns = CollapseSigns()

    def after_step(self, record: StepRecord) -> None:
        for sign in self.kept.after(record.metrics):
            self._session.warn(f"step {record.step}: {sign}")

    @property
    def stop_reason(self) -> str | None:
        return "collapse" if self._ends_run and self.kept.collapsed else None


class HealthWatch(Callback):
    """Says what is amiss and what to try, each once until it was over in between: a log is all that many look at."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._history: list[Mapping[str, float]] = []
        self._rewards: list[float] = []
        self._told: set[str] = set()

    def on_begin(self) -> None:
        """A resumed run has its metrics behind it, and what was amiss then was told."""
        for row in records(self._session.folder.path / "metrics.jsonl"):
            self._see(row)
        self._told = {alarm.name for alarm in alarms(self._history, self._rewards)}

    def after_step(self, record: StepRecord) -> None:
        self._see(record.metrics)
        found = alarms(self._history, self._rewards)
        for alarm in found:
            if alarm.name not in self._told:
                self._session.events.emit(AlarmRaised(record.step, alarm.name, alarm.words, alarm.advice))
        self._told = {alarm.name for alarm in found}

    def _see(self, metrics: Mapping[str, float]) -> None:
        self._history = [*self._history[1 - LOOKED_AT :], {k: math.nan if v is None else v for k, v in metrics.items()}]
        if math.isfinite(reward := self._history[-1].get("reward", math.nan)):
            self._rewards.append(reward)


class HopelessWatch(Callback):
    """Ends a run that learns nothing while there is money left. A resume counts anew: its data may be others."""

    def __init__(self, session: Session, most: int) -> None:
        self._session = session
        self._most = most
        self._steps = 0

    def after_step(self, record: StepRecord) -> None:
        self._steps = 0 if record.update.trained_tokens else self._steps + 1
        if self._steps == self._most:
            self._session.warn(
                f"{self._most} steps in a row had nothing to learn from, so the run ends with the money left; mend the "
                f"reward, then: tina-lite resume {self._session.folder.path}; stop.hopeless: null lets it go on"
            )

    @property
    def stop_reason(self) -> str | None:
        return "hopeless" if self._steps >= self._most else None


class TruncationWatch(Callback):
    """Says so once: nothing that is right can be told from what is not finished."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def after_step(self, record: StepRecord) -> None:
        if record.metrics["completions/clipped_ratio"] == 1:
            self._session.warn_once(
                f"all completions of step {record.step} were cut off before they ended; rollout.max_completion_length "
                "may be too short",
                "cut off",
            )


MUCH_LESS = 0.9
"""Of the steps that were asked for: fewer are worth a word."""


class EtaWatch(Callback):
    """Speaks once a session, as soon as its speed is known."""

    def __init__(self, session: Session, max_steps: int) -> None:
        self._session = session
        self._max_steps = max_steps
        self._steps = 0

    def after_step(self, record: StepRecord) -> None:
        self._steps += 1
        left = record.metrics.get("steps_left")
        if left is not None and self._steps == ETA_AFTER and record.step + left < MUCH_LESS * self._max_steps:
            self._session.warn(
                f"at this speed {self._session.deadlines.left().limit} pays for about {record.step + int(left)} of "
                f"{self._max_steps} steps"
            )


class UserCallback(Callback):
    """Somebody's own: a function that is handed each StepRecord, or an object with some of a Callback's methods.

    What `after_step` returns ends the run, by that name. One that raises is a warning, and the run goes on.
    """

    def __init__(self, session: Session, name: str, theirs: Any) -> None:
        self._session = session
        self._name = name
        self._theirs = theirs
        self._reason: str | None = None

    @property
    def stop_reason(self) -> str | None:
        return self._reason or self._named(
            self._guarded("stop_reason", lambda: getattr(self._theirs, "stop_reason", None))
        )

    def on_begin(self) -> None:
        self._call("on_begin")

    def before_step(self, step: int) -> None:
        self._call("before_step", step)

    def after_step(self, record: StepRecord) -> None:
        self._reason = self._named(self._call("after_step", record))

    def on_end(self) -> None:
        self._call("on_end")

    def state(self) -> Any:
        """Plain JSON; None where there is none, or it is no JSON."""
        found = self._call("state")
        return self._guarded("state", lambda: json.loads(json.dumps(found)))

    def load_state(self, state: Any) -> None:
        if state is not None:
            self._call("load_state", state)

    def _call(self, method: str, *given: Any) -> Any:
        function: Callable[..., Any] | None = getattr(self._theirs, method, None)
        if function is None and method == "after_step" and callable(self._theirs):
            function = self._theirs
        return None if function is None else self._guarded(method, lambda: function(*given))

    def _named(self, found: Any) -> str | None:
        """What a callback gives as its reason to stop; anything true but a text stands for the callback's name."""
        return found if isinstance(found, str) else self._name if found else None

    def _guarded(self, method: str, work: Callable[[], Any]) -> Any:
        """What somebody else's code gives; None where it raises, which is a warning, or takes the time for saving."""
        deadlines = self._session.deadlines
        try:
            with guest(self._name), wall_clock_limit(max(1.0, deadlines.left().seconds - deadlines.save_reserve_s)):
                return work()
        except OutOfTime:
            return None  # the limits end the run
        except Exception as error:
            self._session.warn_once(
                f"callback {self._name} failed in {method}, and the run goes on: {type(error).__name__}: "
                f"{one_line(error)}",
                f"callback {self._name} {method}",
            )
            return None


class Checkpoints(Callback):
    """Saves the run: at its begin, as the recipe says, and at its end."""

    def __init__(self, session: Session, manager: CheckpointManager) -> None:
        self._state = session.state
        self._manager = manager

    def on_begin(self) -> None:
        if self._state.step == 0:
            self._manager.save(adapter=True, announce=False)  # what cannot be saved must not be paid for

    def after_step(self, record: StepRecord) -> None:
        self._manager.snapshot()
        if record.update.finite:  # others are not worth it
            self._manager.save_when_due()

    def on_end(self) -> None:
        self._manager.save(adapter=True)


class Evaluations(Callback):
    """Measures the run before its first step, as the recipe says, and at its end."""

    def __init__(self, session: Session, evaluator: Evaluator, checkpoints: CheckpointManager) -> None:
        self._session = session
        self._evaluator = evaluator
        self._checkpoints = checkpoints
        self.kept = evaluator.gains

    @property
    def stop_reason(self) -> str | None:
        return self._evaluator.stop_reason

    def on_begin(self) -> None:
        step = self._session.state.step
        if step:
            self._keep(self._evaluator.recount(step))
        else:
            self._evaluator.before()
            self._checkpoints.snapshot()

    def after_step(self, record: StepRecord) -> None:
        if self._evaluator.is_due(record.step):
            self._keep(self._evaluator.during(record.step))

    def on_end(self) -> None:
        if not self._session.stop and self._evaluator.after(self._session.state.step):
            self._checkpoints.save_best()

    def summary(self) -> Mapping[str, Any]:
        return self._evaluator.summary()

    def _keep(self, is_best: bool) -> None:
        self._checkpoints.snapshot()
        if is_best:
            self._checkpoints.save_best()


def callbacks_of(
    session: Session,
    recipe: Recipe,
    max_steps: int,
    theirs: Sequence[tuple[str, Any]],
    evaluator: Evaluator,
    checkpoints: CheckpointManager,
) -> dict[str, Callback]:
    """All of a run by name, in the order in which they look: what they keep is seen by the checkpoint behind them."""
    stop = recipe.stop
    condition = Condition.parse(stop.when) if stop.when else None
    return {
        "stop_file": StopFile(session),
        **({"condition": ConditionWatch(condition, stop.patience)} if condition else {}),
        "health": HealthWatch(session),
        **({"hopeless": HopelessWatch(session, stop.hopeless)} if stop.hopeless else {}),
        "truncation": TruncationWatch(session),
        "collapse": CollapseWatch(session, ends_run=stop.on_collapse),
        "eta": EtaWatch(session, max_steps),
        **{f"callback {name}": UserCallback(session, name, one) for name, one in theirs},
        "nonfinite": NonfiniteSteps(session, checkpoints),
        "checkpoints": Checkpoints(session, checkpoints),
        "gains": Evaluations(session, evaluator, checkpoints),
    }
