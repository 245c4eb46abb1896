"""The loop: GRPO with a LoRA adapter on a frozen base, inside a budget.

It wires the rooms together and knows neither how a token is drawn nor who is looking. Everything that it says goes
out as events. A step is whole or it was not: what is given up or fails leaves all as it was after the step before.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from tina_lite.collector import Collector
from tina_lite.errors import Interrupted, NoRoom
from tina_lite.evaluate.examiner import Examiner
from tina_lite.learner import Learner
from tina_lite.recorder import Recorder
from tina_lite.records import ScoredGroup, Update
from tina_lite.runs.events import Notice
from tina_lite.runs.keeper import Keeper
from tina_lite.runs.session import Session
from tina_lite.schedule import Schedule
from tina_lite.wall_clock import OutOfTime
from tina_lite.watchers import Watcher


@dataclass(slots=True)
class Trainer:
    """One run, from the first step to the last."""

    session: Session
    collector: Collector
    learner: Learner
    schedule: Schedule
    recorder: Recorder
    watchers: Collection[Watcher]
    keeper: Keeper
    examiner: Examiner
    stop_reason: str = ""

    def train(self) -> None:
        """Evaluate, learn until a stop rule speaks, save, evaluate again."""
        state = self.session.state
        if state.step == 0:
            self.keeper.save(adapter=True, say=False)  # what cannot be saved must not be paid for
            self.examiner.before()
            self.keeper.mark()
        else:
            self._keep(is_best=self.examiner.recount(state.step))
        for step in self._steps():
            try:
                self._step(step)
            except OutOfTime:
                self._give_up(step)
                break
            self.keeper.save_when_due()
            if self.examiner.is_due(step):
                self._keep(is_best=self.examiner.during(step))
        self.keeper.save(adapter=True)
        self._leave_if_asked()
        if self.examiner.after(state.step):
            self.keeper.save_best()
        self._leave_if_asked()

    def _keep(self, *, is_best: bool) -> None:
        """What an evaluation between the steps came to."""
        self.keeper.mark()
        if is_best:
            self.keeper.save_best()

    def _step(self, step: int) -> None:
        started = self.session.meter.elapsed_s()
        collected = self.collector.collect(step)
        update = self._update(collected.groups, step)
        collected.count(self.session.state, step, update.trained_tokens)
        seconds = self.session.meter.elapsed_s() - started
        self.session.pace.step_took(seconds)
        record = self.recorder.record(collected, update, seconds)
        for watcher in self.watchers:
            watcher.look(record)
        self.keeper.mark()

    def _update(self, groups: Sequence[ScoredGroup], step: int) -> Update:
        pace, started = self.session.pace, self.session.meter.elapsed_s()
        rate = self.schedule.at(step)
        out_of_time = pace.out_of_time(pace.reserve_s)
        with self.session.phases("update", step):
            progress = self.session.phases.progress("update", step, "micro-batches")
            update = self.learner.update(groups, rate, step, progress, out_of_time)
        if update.trained_tokens:
            pace.timings.update = max(pace.timings.update, self.session.meter.elapsed_s() - started)
        return update

    def _steps(self) -> Iterator[int]:
        """Step numbers from 1, until a stop rule speaks."""
        session = self.session
        if session.state.step == 0:
            session.rules.refuse_if_hopeless(session.meter.read(), 0.0, session.pace.reserve_s)
        while not session.stop:
            self.stop_reason = self._reason_to_stop() or ""
            if self.stop_reason:
                return
            yield session.state.step + 1

    def _reason_to_stop(self) -> str | None:
        """The rule that forbids another step."""
        session, state, pace = self.session, self.session.state, self.session.pace
        if session.folder.asked_to_stop():
            return "stop_file"
        if reason := next((watcher.stop_reason for watcher in self.watchers if watcher.stop_reason), None):
            return reason
        if self.examiner.stop_reason:
            return self.examiner.stop_reason
        reason = session.rules.before_step(
            state.step,
            session.meter.read(),
            pace.step_s,
            pace.reserve_s,
            tokens=state.prompt_tokens + state.completion_tokens,
            step_tokens=state.step_tokens,
            held=state.held,
        )
        if reason in ("max_usd", "max_hours", "until"):
            session.say_what_did_not_fit(f"one more step may take {pace.step_s:.1f} s")
        return reason

    def _give_up(self, step: int) -> None:
        """Time or tokens of a step are up, or a signal came."""
        self.keeper.back()
        if self.session.stop:
            return
        if self.collector.out_of_tokens:
            self.stop_reason = "max_tokens"
            self.session.events.emit(Notice("info", f"step {step} was given up: max_tokens left too few for it"))
        else:
            self.stop_reason = self.session.pace.limit()
            self.session.say_what_did_not_fit(f"step {step} was given up: what it still needed did not fit")
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
