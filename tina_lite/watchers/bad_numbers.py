"""Losses, gradients and log-probs that are not finite."""

from dataclasses import dataclass

from tina_lite.errors import TinaError
from tina_lite.recorder import StepRecord
from tina_lite.runs.keeper import Keeper
from tina_lite.runs.session import Session

MAX_BAD_STEPS = 3


@dataclass(slots=True)
class BadNumbers:
    """A step whose numbers are not finite changed nothing; three in a row will not mend themselves."""

    session: Session
    keeper: Keeper
    stop_reason = None

    def look(self, record: StepRecord) -> None:
        state = self.session.state
        state.count_bad(record.update.finite)
        if not state.bad_steps:
            return
        self.session.notice(
            f"step {record.step}: a loss, gradient or log-prob is not finite; the step was skipped, "
            f"{state.skipped_steps} so far"
        )
        if state.bad_steps >= MAX_BAD_STEPS:
            good = self.keeper.fall_back()
            raise TinaError(
                f"{MAX_BAD_STEPS} steps in a row had numbers that are not finite; the adapter is that of the last good "
                f"checkpoint, step {good}; try a lower optim.learning_rate or model.compute_dtype=float32"
            )
