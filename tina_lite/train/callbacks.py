"""Who looks on as a run trains, and may end it: alarms, stop conditions, checkpoints, evaluations, a user's own."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from tina_lite.budget.conditions import Condition
from tina_lite.eval.evaluator import Evaluator
from tina_lite.runs.checkpoint_manager import CheckpointManager
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
                f"checkpoint, step {good}; try a lower optim.learning_rate or model.compute_dtype=float32; more: "
                "tina-lite docs troubleshooting"
            )

    def summary(self) -> Mapping[str, Any]:
        return {"skipped_steps": self.kept.skipped_steps}


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
