"""What the budget can pay for, where that is much less than was asked for."""

from dataclasses import dataclass

from tina_lite.recorder import StepRecord
from tina_lite.runs.session import Session
from tina_lite.schedule import OUTLOOK_AFTER

MUCH_LESS = 0.9
"""Of the steps that were asked for: fewer are worth a word."""


@dataclass(slots=True)
class OutlookWatch:
    """Speaks once a session, as soon as its speed is known."""

    session: Session
    max_steps: int
    _steps: int = 0
    stop_reason = None

    def look(self, record: StepRecord) -> None:
        self._steps += 1
        left = record.metrics.get("steps_left")
        if left is not None and self._steps == OUTLOOK_AFTER and record.step + left < MUCH_LESS * self.max_steps:
            self.session.notice(
                f"at this speed {self.session.pace.limit()} pays for about {record.step + int(left)} of "
                f"{self.max_steps} steps"
            )
