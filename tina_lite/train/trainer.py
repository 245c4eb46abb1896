"""The loop: GRPO with a LoRA adapter on a frozen base, inside a budget.

It wires the rooms together and knows neither how a token is sampled nor who is looking. Everything that it says goes
out as events. A step is whole or it was not: what is given up or fails leaves all as it was after the step before.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tina_lite.runs.checkpoint_manager import CheckpointManager
from tina_lite.runs.events import LogLine
from tina_lite.runs.session import Session
from tina_lite.train.callbacks import Callback
from tina_lite.train.collect import Collector
from tina_lite.train.learner import Learner
from tina_lite.train.recorder import Recorder
from tina_lite.train.schedule import Schedule
from tina_lite.util.errors import Interrupted, NoRoom
from tina_lite.util.wall_clock import OutOfTime


@dataclass(slots=True)
class Trainer:
    """One run, from the first step to the last."""

    session: Session
    collector: Collector
    learner: Learner
    schedule: Schedule
    recorder: Recorder
    callbacks: Mapping[str, Callback]
    checkpoints: CheckpointManager
    stop_reason: str = ""

    def train(self) -> None:
        """Learn until a stop rule speaks; callbacks evaluate and save before, between and after the steps."""
        session = self.session
        for callback in self.callbacks.values():
            callback.on_begin()
        if session.state.step == 0:
            session.deadlines.limits.refuse_if_hopeless(session.meter.read(), session.deadlines.reserve_s)
        for step in self._steps():
            try:
                self._step(step)
            except OutOfTime:
                self._give_up(step)
                break
        for callback in self.callbacks.values():
            callback.on_end()
        if session.stop.signal_number is not None:
            self.stop_reason = Interrupted.kind
            raise Interrupted(
                f"stopped at step {session.state.step}; go on with: tina-lite resume {session.folder.path}",
                session.stop.signal_number,
            )

    def summary(self) -> Mapping[str, Any]:
        """What summary.json says beside the bill: of rewards that failed, and of each callback."""
        figures = {"reward_failures": self.collector.kept.reward_failures}
        return figures | {name: value for one in self.callbacks.values() for name, value in one.summary().items()}

    def _steps(self) -> Iterator[int]:
        """Step numbers, until a limit or a callback forbids another."""
        session, deadlines = self.session, self.session.deadlines
        while not session.stop:
            reasons = (callback.stop_reason for callback in self.callbacks.values())
            limit = deadlines.reason_to_stop(session.state.step_tokens)
            self.stop_reason = next(filter(None, reasons), limit) or ""
            if self.stop_reason in ("max_usd", "max_hours", "until"):
                session.log_what_did_not_fit(f"one more step may take {deadlines.step_s:.1f} s")
            if self.stop_reason:
                return
            yield session.state.step + 1

    def _step(self, step: int) -> None:
        session = self.session
        for callback in self.callbacks.values():
            callback.before_step(step)
        with session.deadlines.step() as whole:
            collected = self.collector.collect(step)
            out_of_time = session.deadlines.out_of_time(session.deadlines.reserve_s)
            with session.phases("update", step) as phase:
                progress = session.phases.progress("update", step, "micro-batches")
                update = self.learner.update(collected.groups, self.schedule.at(step), step, progress, out_of_time)
                phase.is_typical = update.trained_tokens > 0
        tokens = collected.prompt_tokens, collected.decoded_tokens, update.trained_tokens
        session.state.count(step, collected.position, tokens, collected.reward)
        record = self.recorder.record(collected, update, whole.seconds)
        for callback in self.callbacks.values():
            callback.after_step(record)

    def _give_up(self, step: int) -> None:
        """Time or tokens of a step are up, or a signal came."""
        session = self.session
        self.checkpoints.rollback()
        if session.stop:
            return
        if self.collector.out_of_tokens:
            self.stop_reason = "max_tokens"
            session.events.emit(LogLine("info", f"step {step} was given up: max_tokens left too few for it"))
        else:
            self.stop_reason = session.deadlines.left().limit
            session.log_what_did_not_fit(f"step {step} was given up: what it still needed did not fit")
        if step == 1:
            raise NoRoom(
                f"{self.stop_reason} is too small for one step: raise it, or ask for less in a step "
                "(rollout.prompts_per_step, rollout.max_completion_length)"
            )
