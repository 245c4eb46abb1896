"""What fields of the recipe spared a run, at the price of what it did sample and train on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tina_lite.runs.session import Session
from tina_lite.runs.state import Count
from tina_lite.train.callbacks import Callback
from tina_lite.train.recorder import StepRecord
from tina_lite.util.stateful import Fields


@dataclass(slots=True)
class Spared(Fields):
    """Completion tokens that were paid for in no phase."""

    update: Count = 0
    rollout: Count = 0
    """At most: nobody knows where a loop would have ended."""


class Savings(Callback):
    """Adds up what `grpo.update_completions` and `rollout.stop_loops` left out."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.kept: Spared = Spared()

    def after_step(self, record: StepRecord) -> None:
        self.kept.update += record.update.saved_tokens
        self.kept.rollout += int(record.metrics.get("loops/tokens_saved", 0))

    def summary(self) -> Mapping[str, Any]:
        """By field: tokens, seconds and dollars that were not spent; empty where nothing was left out."""
        state, reading = self._session.state, self._session.meter.read()
        found = {}
        for field, phase, spared, taken in (
            ("grpo.update_completions", "update", self.kept.update, state.trained_tokens),
            ("rollout.stop_loops", "rollout", self.kept.rollout, state.completion_tokens),
        ):
            if spared and taken:
                seconds = reading.seconds_by_phase.get(phase, 0.0) * spared / taken
                usd = reading.usd_by_phase.get(phase, 0.0) * spared / taken
                found[field] = {"tokens": spared, "seconds": round(seconds, 1), "usd": usd}
        return {"not_spent": found} if found else {}
