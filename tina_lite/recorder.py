"""A finished step as metrics, samples and an event: the record that watchers look at."""

from dataclasses import dataclass

from tina_lite.collector import Collected
from tina_lite.recipe.schema import OptimSection
from tina_lite.records import Update
from tina_lite.runs.events import StepDone
from tina_lite.runs.metrics import step_metrics, step_samples
from tina_lite.runs.session import Session


@dataclass(frozen=True, slots=True)
class StepRecord:
    """A finished step, under the names of metrics.jsonl."""

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
            metrics["lr_horizon"] = state.horizon
        if ahead := session.pace.outlook(state.step):
            metrics["steps_left"], metrics["usd_at_end"] = ahead.steps, ahead.usd
        samples = step_samples(collected.groups)
        session.folder.keep_samples([{"step": state.step, **sample} for sample in samples.kept])
        session.events.emit(StepDone(state.step, self.max_steps, metrics, samples.shown, samples.typical))
        return StepRecord(state.step, metrics, update)
