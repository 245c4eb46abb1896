"""The loop: GRPO with a LoRA adapter on a frozen base, inside a budget.

It wires the rooms together and knows neither how a token is drawn nor who is looking. Everything that it says goes
out as events. A step is whole or it was not: what is given up or fails leaves all as it was after the step before.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from tina_lite.eval.evaluator import Evaluator
from tina_lite.runs.checkpoint_manager import CheckpointManager
from tina_lite.runs.events import LogLine
from tina_lite.runs.session import Session
from tina_lite.train.callbacks import Callback, Recorder
from tina_lite.train.collect import Collector
from tina_lite.train.learner import Learner
from tina_lite.train.schedule import Schedule
from tina_lite.util.errors import Interrupted, NoRoom
from tina_lite.util.records import ScoredGroup, Update
from tina_lite.util.wall_clock import OutOfTime


@dataclass(slots=True)
class Trainer:
    """One run, from the first step to the last."""

    session: Session
    collector: Collector
    learner: Learner
    schedule: Schedule
    recorder: Recorder
    callbacks: Collection[Callback]
    checkpoints: CheckpointManager
    evaluator: Evaluator
    stop_reason: str = ""

    def train(self) -> None:
        """Evaluate, learn until a stop rule speaks, save, evaluate again."""
        state = self.session.state
        if state.step == 0:
            self.checkpoints.save(adapter=True, announce=False)  # what cannot be saved must not be paid for
            self.evaluator.before()
            self.checkpoints.snapshot()
        else:
            self._keep(is_best=self.evaluator.recount(state.step))
        for step in self._steps():
            try:
                self._step(step)
            except OutOfTime:
                self._give_up(step)
                break
            self.checkpoints.save_when_due()
            if self.evaluator.is_due(step):
                self._keep(is_best=self.evaluator.during(step))
        self.checkpoints.save(adapter=True)
        self._leave_if_asked()
        if self.evaluator.after(state.step):
            self.checkpoints.save_best()
        self._leave_if_asked()

    def _keep(self, *, is_best: bool) -> None:
        """What an evaluation between the steps came to."""
        self.checkpoints.snapshot()
        if is_best:
            self.checkpoints.save_best()

    def _step(self, step: int) -> None:
        started = self.session.meter.elapsed_s()
        collected = self.collector.collect(step)
        update = self._update(collected.groups, step)
        collected.count(self.session.state, step, update.trained_tokens)
        seconds = self.session.meter.elapsed_s() - started
        self.session.deadlines.step_took(seconds)
        record = self.recorder.record(collected, update, seconds)
        for callback in self.callbacks:
            callback.look(record)
        self.checkpoints.snapshot()

    def _update(self, groups: Sequence[ScoredGroup], step: int) -> Update:
        deadlines, started = self.session.deadlines, self.session.meter.elapsed_s()
        rate = self.schedule.at(step)
        out_of_time = deadlines.out_of_time(deadlines.reserve_s)
        with self.session.phases("update", step):
            progress = self.session.phases.progress("update", step, "micro-batches")
            update = self.learner.update(groups, rate, step, progress, out_of_time)
        if update.trained_tokens:
            deadlines.timings.update = max(deadlines.timings.update, self.session.meter.elapsed_s() - started)
        return update

    def _steps(self) -> Iterator[int]:
        """Step numbers from 1, until a stop rule speaks."""
        session = self.session
        if session.state.step == 0:
            session.rules.refuse_if_hopeless(session.meter.read(), 0.0, session.deadlines.reserve_s)
        while not session.stop:
            self.stop_reason = self._reason_to_stop() or ""
            if self.stop_reason:
                return
            yield session.state.step + 1

    def _reason_to_stop(self) -> str | None:
        """The rule that forbids another step."""
        session, state, deadlines = self.session, self.session.state, self.session.deadlines
        if session.folder.asked_to_stop():
            return "stop_file"
        if reason := next((callback.stop_reason for callback in self.callbacks if callback.stop_reason), None):
            return reason
        if self.evaluator.stop_reason:
            return self.evaluator.stop_reason
        reason = session.rules.before_step(
            state.step,
            session.meter.read(),
            deadlines.step_s,
            deadlines.reserve_s,
            tokens=state.prompt_tokens + state.completion_tokens,
            step_tokens=state.step_tokens,
            condition_streak=state.condition_streak,
        )
        if reason in ("max_usd", "max_hours", "until"):
            session.log_what_did_not_fit(f"one more step may take {deadlines.step_s:.1f} s")
        return reason

    def _give_up(self, step: int) -> None:
        """Time or tokens of a step are up, or a signal came."""
        self.checkpoints.rollback()
        if self.session.stop:
            return
        if self.collector.out_of_tokens:
            self.stop_reason = "max_tokens"
            self.session.events.emit(LogLine("info", f"step {step} was given up: max_tokens left too few for it"))
        else:
            self.stop_reason = self.session.deadlines.limit()
            self.session.log_what_did_not_fit(f"step {step} was given up: what it still needed did not fit")
        if step == 1:
            raise NoRoom(
                f"{self.stop_reason} is too small for one step: raise it, or ask for less in a step "
                "(rollout.prompts_per_step, rollout.max_completion_length)"
            )

    def _leave_if_asked(self) -> None:
        session = self.session
        if session.stop:
            assert session.stop.signal_number is not None
            self.stop_reason = Interrupted.kind
            raise Interrupted(
                f"stopped at step {session.state.step}; go on with: tina-lite resume {session.folder.path}",
                session.stop.signal_number,
            )
