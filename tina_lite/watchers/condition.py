"""Whether the condition of stop.when holds."""

from dataclasses import dataclass

from tina_lite.recorder import StepRecord
from tina_lite.runs.session import Session


@dataclass(slots=True)
class ConditionWatch:
    """Counts for how many steps in a row it has held; the stop rules ask for that."""

    session: Session
    stop_reason = None

    def look(self, record: StepRecord) -> None:
        condition, state = self.session.rules.condition, self.session.state
        if condition is None:
            return
        state.held = state.held + 1 if condition.holds(record.metrics) else 0
