"""A finished step as metrics, samples and an event: the record that callbacks look at."""

from dataclasses import dataclass

from tina_lite.runs.events import Sample, StepDone
from tina_lite.runs.metrics import step_metrics, step_samples
from tina_lite.runs.session import Session
from tina_lite.train.collect import Collected
from tina_lite.train.schedule import Schedule
from tina_lite.util.records import Update


@dataclass(frozen=True, slots=True)
class StepRecord:
    """Records a finished step, under the names of metrics.jsonl."""

    step: int
    metrics: dict[str, float]
    update: Update
    typical: Sample
    """A completion that is as good as most."""


@dataclass(slots=True)
class Recorder:
    """Tells everybody of each step."""

    session: Session
    schedule: Schedule
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
        metrics["num_tokens"] = state.tokens
        metrics |= collected.metrics
        if self.schedule.optim.lr_horizon == "budget":
            metrics["lr_horizon"] = self.schedule.kept.lr_progress
        if ahead := session.deadlines.eta():
            metrics["steps_left"], metrics["usd_at_end"] = ahead.steps, ahead.usd
        best, typical, kept = step_samples(collected.groups)
        session.folder.keep_samples([{"step": state.step, **sample} for sample in kept])
        session.events.emit(StepDone(state.step, self.max_steps, metrics, best, typical))
        return StepRecord(state.step, metrics, update, typical)
