"""Steps all of whose completions are cut off."""

from dataclasses import dataclass

from tina_lite.recorder import StepRecord
from tina_lite.runs.session import Session


@dataclass(slots=True)
class CutOff:
    """Says so once: nothing that is right can be told from what is not finished."""

    session: Session
    stop_reason = None

    def look(self, record: StepRecord) -> None:
        if record.metrics["completions/clipped_ratio"] == 1:
            self.session.say_once(
                f"all completions of step {record.step} were cut off before they ended; rollout.max_completion_length "
                "may be too short",
                "cut off",
            )
