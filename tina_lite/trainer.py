"""The loop: GRPO with a LoRA adapter on a frozen base, inside a budget.

It wires the rooms together and knows neither how a token is drawn nor who is looking. Everything that it says goes
out as events.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from tina_lite import grpo
from tina_lite.budget import Meter, StepForecast, StopRules, outlook
from tina_lite.collapse import CollapseWatch
from tina_lite.errors import Interrupted, TinaError
from tina_lite.evaluate import evaluate
from tina_lite.learner import Learner
from tina_lite.problems import PromptSource
from tina_lite.records import EvalResult, Group, Prompt, ScoredGroup, Update
from tina_lite.rewards import BrokenRewards, Scores, StepScores, WeightedReward, score
from tina_lite.runs import checkpoint
from tina_lite.runs.events import (
    CheckpointSaved,
    Evaluated,
    EventStream,
    Notice,
    PhaseChanged,
    PhaseName,
    Progress,
    StepDone,
)
from tina_lite.runs.files import disk_faults
from tina_lite.runs.folder import RunFolder
from tina_lite.runs.metrics import step_metrics, step_samples
from tina_lite.runs.peak_memory import PeakMemory
from tina_lite.runs.signals import StopRequest
from tina_lite.runs.state import Kept, MachineChoices, RunState
from tina_lite.sampler import Sampler

SAVE_RESERVE_S = 5.0
"""Seconds kept back for the last checkpoint, adapter and summary, a disk that stalls included."""
SLOWER_SAVE = 2.0
"""The last save may take so many times the longest so far."""
FIRST_UPDATE = 2.0
"""The first update, of which nothing is known, is begun if so many times its rollout would fit."""
EVAL_RESERVE = 1.5
"""The last evaluation may take longer than the first: completions grow."""
MAX_BAD_STEPS = 3


Judged = tuple[Group, Scores]


class Saver(Protocol):
    """What the trainer needs of a policy beside sampler and learner."""

    def save_adapter(self, folder: Path) -> None: ...


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """The recipe's numbers that the loop itself needs."""

    prompts_per_step: int
    num_generations: int
    scale_rewards: str
    learning_rate: float
    lr_scheduler_type: str
    lr_horizon: str
    """steps, or budget: the share of the nearest limit that is used up."""
    warmup_ratio: float
    min_lr_ratio: float
    max_steps: int
    checkpoint_every: int
    checkpoint_every_s: float
    checkpoint_keep: int
    eval_every: int | None
    eval_samples: int
    resample_zero_variance: int
    """How often in a step groups without variance are replaced by fresh problems."""
    stop_on_collapse: bool


class Trainer:
    """One run, from the first step to the last."""

    def __init__(
        self,
        settings: LoopSettings,
        *,
        choices: MachineChoices,
        saver: Saver,
        sampler: Sampler,
        learner: Learner,
        source: PromptSource,
        rewards: Sequence[WeightedReward],
        benchmarks: Mapping[str, Sequence[Prompt]],
        eval_sampler: Sampler,
        folder: RunFolder,
        meter: Meter,
        rules: StopRules,
        events: EventStream,
        stop: StopRequest,
    ) -> None:
        self._settings = settings
        self._choices = choices
        self._saver = saver
        self._sampler = sampler
        self._learner = learner
        self._source = source
        self._rewards = rewards
        self._benchmarks = benchmarks
        self._eval_sampler = eval_sampler
        self._folder = folder
        self._meter = meter
        self._rules = rules
        self._events = events
        self._stop = stop
        self._forecast = StepForecast()
        self._peaks = PeakMemory.of_this_process()
        self._eval_s = 0.0
        self._save_s = 0.0
        self._update_s = 0.0  # of the longest so far; 0 before the first
        self._checkpointed = 0
        self._checkpointed_s = meter.elapsed_s()
        self.state = RunState()
        self.evals: dict[str, dict[str, EvalResult]] = {}
        """By "before" and "after", results by benchmark."""
        self._collapse = CollapseWatch()
        self._broken = BrokenRewards()
        self.stop_reason = ""

    def train(self) -> None:
        """Evaluate, learn until a stop rule speaks, save, evaluate again."""
        if self.state.step == 0:
            self._measure("before")
        for step in self._steps():
            started = self._meter.elapsed_s()
            prompts = self._next_prompts(self._settings.prompts_per_step)
            groups, tokens = self._rollout(prompts, step)
            if not groups:
                break
            judged = self._score(groups, step)
            if self._settings.resample_zero_variance:
                judged, extra_tokens = self._resample(judged, step)
                tokens += extra_tokens
            scored = self._with_advantages(judged)
            if self._no_time_to_update(self._meter.elapsed_s() - started):
                break
            before_update = self._meter.elapsed_s()
            update = self._update(scored, step)
            if update.trained_tokens:
                self._update_s = max(self._update_s, self._meter.elapsed_s() - before_update)
            self.state.count(step, self._source.position, tokens, scored, update.trained_tokens)
            seconds = self._meter.elapsed_s() - started
            self._forecast.add(seconds)
            self._report(scored, update, tokens, seconds)
            self._refuse_bad_numbers(update)
            self._save_when_due()
        self._save()
        self._leave_if_asked()
        self._measure("after")
        self._leave_if_asked()

    def check_room(self) -> None:
        """NoRoom where the disk cannot hold the checkpoints that are kept at once, and the adapter."""
        checkpoints = self._settings.checkpoint_keep + 1  # a new one is there before the oldest goes
        self._folder.require_room((checkpoints + 1) * self._learner.state_bytes)

    def _steps(self) -> Iterator[int]:
        """Step numbers from 1, until a stop rule speaks."""
        self._rules.refuse_if_hopeless(self._meter.read(), 0.0, self._reserve_s())
        while not self._stop:
            self.stop_reason = self._reason_to_stop() or ""
            if self.stop_reason:
                return
            yield self.state.step + 1

    def _reason_to_stop(self) -> str | None:
        """The rule that forbids another step."""
        if self._folder.asked_to_stop():
            return "stop_file"
        if self._settings.stop_on_collapse and self._collapse.collapsed:
            return "collapse"
        state, forecast_s = self.state, self._forecast.next_s()
        reason = self._rules.before_step(
            state.step,
            self._meter.read(),
            forecast_s,
            self._reserve_s(),
            tokens=state.prompt_tokens + state.completion_tokens,
            step_tokens=state.step_tokens,
            held=state.held,
        )
        if reason in ("max_usd", "max_hours", "until"):
            self._say_what_did_not_fit(f"one more step may take {forecast_s:.1f} s")
        return reason

    def _say_what_did_not_fit(self, why: str) -> None:
        left_s, limit = self._rules.limits.left(self._meter.read())
        kept = f"{self._reserve_s():.1f} s are kept for closing"
        self._events.emit(Notice("info", f"{limit} leaves {left_s or 0:.1f} s: {kept}, and {why}"))

    def _no_time_to_update(self, spent_s: float) -> bool:
        """Whether the update of this step would eat the reserve; a rollout that ran up to its deadline is dropped."""
        update_s = self._update_s or FIRST_UPDATE * spent_s
        reason = self._rules.out_of(self._meter.read(), update_s + self._reserve_s())
        if reason is not None:
            self.stop_reason = reason
            self._say_what_did_not_fit(f"the update of this step may take {update_s:.1f} s")
        return reason is not None

    def _next_prompts(self, count: int) -> list[Prompt]:
        skipped = self._source.too_long
        prompts = self._source.next(count)
        if self._source.too_long > skipped:
            self._notice(f"{self._source.too_long} prompts skipped so far: longer than rollout.max_prompt_length")
        return prompts

    def _rollout(self, prompts: Sequence[Prompt], step: int) -> tuple[Sequence[Group], int]:
        """Groups that were finished in time and the tokens they took; none where time or a signal ended the step."""
        deadline = self._rules.deadline_s(self._meter.read(), self._reserve_s() + self._update_s)
        with self._phase("rollout", step):
            rollout = self._sampler.rollout(
                prompts,
                self._settings.num_generations,
                step,
                out_of_time=lambda: self._out_of_time(deadline),
                progress=self._progress("rollout", step, "completions"),
            )
        if self._stop:
            return (), rollout.decoded_tokens
        if not rollout.groups:
            self.stop_reason = self._rules.binding_limit(self._meter.read())
            self._say_what_did_not_fit(f"the rollout of step {step} was not finished in time")
        return rollout.groups, rollout.decoded_tokens

    def _score(self, groups: Sequence[Group], step: int) -> list[Judged]:
        with self._phase("reward", step):
            scores = score(groups, self._rewards)
        if scores.failures:
            self._say_failures(scores)
        broken = self._broken.after(scores)
        if broken:
            self._save()
            raise TinaError(
                f"reward {', '.join(broken)} keeps failing, see {self._folder.reward_error}; "
                f"step {self.state.step} is saved: mend it and go on with: tina-lite resume {self._folder.path}"
            )
        return list(zip(groups, scores.groups, strict=True))

    def _say_failures(self, scores: StepScores) -> None:
        """Count, show, and keep the first traceback of the run."""
        for name, count in scores.failures.items():
            self.state.reward_failures[name] = self.state.reward_failures.get(name, 0) + count
            failed = f"reward {name} failed on {count} completions of {scores.completions}"
            self._notice(f"{failed}: {scores.reason(name)}")
            self._folder.keep_reward_error(scores.tracebacks[name])

    def _resample(self, judged: list[Judged], step: int) -> tuple[list[Judged], int]:
        """Groups without variance give way to fresh problems, inside the deadline (DAPO, arXiv 2503.14476, 3.2)."""
        extra_tokens = 0
        for _ in range(self._settings.resample_zero_variance):
            teaching = [(group, scores) for group, scores in judged if len(set(scores.totals)) > 1]
            missing = len(judged) - len(teaching)
            if not missing:
                break
            fresh, tokens = self._rollout(self._next_prompts(missing), step)
            extra_tokens += tokens
            if len(fresh) < missing:  # out of time: the step goes on with what it has
                break
            judged = teaching + self._score(fresh, step)
        return judged, extra_tokens

    def _with_advantages(self, judged: Sequence[Judged]) -> list[ScoredGroup]:
        advantages = grpo.advantages([scores.totals for _, scores in judged], self._settings.scale_rewards)
        return [
            ScoredGroup(group, scores.rewards, scores.totals, advantage)
            for (group, scores), advantage in zip(judged, advantages, strict=True)
        ]

    def _update(self, groups: Sequence[ScoredGroup], step: int) -> Update:
        settings = self._settings
        self.state.horizon = max(self.state.horizon, self._horizon(step))
        rate = grpo.learning_rate(
            self.state.horizon,
            settings.learning_rate,
            settings.lr_scheduler_type,
            settings.warmup_ratio,
            settings.min_lr_ratio,
        )
        with self._phase("update", step):
            return self._learner.update(groups, rate, step, self._progress("update", step, "micro-batches"))

    def _horizon(self, step: int) -> float:
        """Share of the learning-rate schedule that is done once this step has run."""
        by_steps = step / self._settings.max_steps
        reading = self._meter.read()
        left_s, _ = self._rules.limits.left(reading)
        if self.state.started_s is None:
            self.state.started_s = reading.total_s
        if self._settings.lr_horizon == "steps" or left_s is None:
            return by_steps
        spent_s = reading.total_s - self.state.started_s + (self._update_s or self._forecast.next_s())
        spare_s = max(0.0, left_s - self._reserve_s() - self._update_s)
        return max(by_steps, spent_s / max(spent_s + spare_s, 1e-9))

    def _report(self, groups: Sequence[ScoredGroup], update: Update, tokens: int, seconds: float) -> None:
        step, reading = self.state.step, self._meter.read()
        metrics = step_metrics(
            groups,
            update,
            usd=reading.usd,
            usd_per_hour=reading.rate,
            decoded_tokens=tokens,
            step_time_s=seconds,
        )
        metrics |= self._peaks.metrics()
        metrics["num_tokens"] = self.state.prompt_tokens + self.state.completion_tokens
        metrics["epoch"] = self._source.epoch
        if self._settings.lr_horizon == "budget":
            metrics["lr_horizon"] = self.state.horizon
        self._watch_condition(metrics)
        for sign in self._collapse.after(metrics):
            self._notice(f"step {step}: {sign}")
        if ahead := outlook(self._forecast, self._rules.limits, step, reading, self._reserve_s()):
            metrics["steps_left"], metrics["usd_at_end"] = ahead.steps, ahead.usd
        samples = step_samples(groups)
        self._folder.keep_samples([{"step": step, **sample} for sample in samples.kept])
        self._events.emit(StepDone(step, self._settings.max_steps, metrics, samples.shown, samples.typical))

    def _watch_condition(self, metrics: Mapping[str, float]) -> None:
        condition = self._rules.condition
        if condition is None:
            return
        holds = condition.holds(metrics)
        if holds is None and self.state.step == 1:
            self._notice(f"stop.when: no metric {condition.metric} in the first step; there are {', '.join(metrics)}")
        self.state.held = self.state.held + 1 if holds else 0

    def _refuse_bad_numbers(self, update: Update) -> None:
        """A step whose numbers are not finite changed nothing; three in a row will not mend themselves."""
        self.state.count_bad(update.finite)
        if not self.state.bad_steps:
            return
        self._notice(
            f"step {self.state.step}: a loss, gradient or log-prob is not finite; the step was skipped, "
            f"{self.state.skipped_steps} so far"
        )
        if self.state.bad_steps >= MAX_BAD_STEPS:
            good = self._fall_back()
            raise TinaError(
                f"{MAX_BAD_STEPS} steps in a row had numbers that are not finite; the adapter is that of the last good "
                f"checkpoint, step {good}; try a lower optim.learning_rate or model.compute_dtype=float32"
            )

    def _fall_back(self) -> int:
        """The adapter of the newest checkpoint, which is older than the bad steps; its step, 0 where there is none."""
        saved, _ = checkpoint.newest(self._folder.checkpoints)
        if saved is None:
            return 0
        self._learner.load_state(saved.tensors)
        self._save_adapter()
        return saved.step

    def _save_when_due(self) -> None:
        settings, step = self._settings, self.state.step
        waited_s = self._meter.elapsed_s() - self._checkpointed_s
        due = step % settings.checkpoint_every == 0 or waited_s >= settings.checkpoint_every_s
        if due and not self.state.bad_steps:
            self._checkpoint()
        if settings.eval_every and step % settings.eval_every == 0 and step < settings.max_steps:
            self._evaluate("step", list(self._benchmarks))

    def _save(self) -> None:
        """The last checkpoint, and the adapter in PEFT's layout."""
        if self._checkpointed != self.state.step or self.state.step == 0:
            self._checkpoint()
        self._save_adapter()

    def _save_adapter(self) -> None:
        with self._phase("save", self.state.step), disk_faults(self._folder.adapter):
            self._folder.replace_adapter(self._saver.save_adapter)

    def _checkpoint(self) -> None:
        started = self._meter.elapsed_s()
        with self._phase("save", self.state.step), disk_faults(self._folder.checkpoints):
            path = checkpoint.save(
                self._folder.checkpoints,
                checkpoint.Checkpoint(self.state.step, self._learner.state(), self._kept().to_json()),
                keep=self._settings.checkpoint_keep,
            )
        self._checkpointed, self._checkpointed_s = self.state.step, self._meter.elapsed_s()
        seconds = round(self._checkpointed_s - started, 3)
        self._save_s = max(self._save_s, seconds)
        self._events.emit(CheckpointSaved(self.state.step, str(path.relative_to(self._folder.path)), seconds))

    def _leave_if_asked(self) -> None:
        if self._stop:
            assert self._stop.signal_number is not None
            self.stop_reason = Interrupted.kind
            raise Interrupted(
                f"stopped at step {self.state.step}; go on with: tina-lite resume {self._folder.path}",
                self._stop.signal_number,
            )

    def _measure(self, when: str) -> None:
        """Every benchmark that has not been measured; what a signal cuts short is measured again after a resume."""
        results = self.evals.setdefault(when, {})
        results |= self._evaluate(when, [name for name in self._benchmarks if name not in results])

    def _evaluate(self, when: str, names: Sequence[str]) -> dict[str, EvalResult]:
        """Benchmarks in turn, inside what money is left beside the reserve for saving."""
        started, results = self._meter.elapsed_s(), {}
        deadline = self._rules.deadline_s(self._meter.read(), self._save_reserve_s())
        for name in names:
            prompts = self._benchmarks[name]
            with self._phase("eval", self.state.step):
                result = evaluate(
                    self._eval_sampler,
                    prompts,
                    self._settings.eval_samples,
                    name,
                    out_of_time=lambda: self._out_of_time(deadline),
                    progress=self._progress("eval", self.state.step, "completions"),
                )
            if self._stop:
                break
            if result is None or result.problems < len(prompts):
                measured = result.problems if result else 0
                self._notice(f"evaluation on {name} was cut short: {measured} of {len(prompts)} problems")
            if result is not None:
                results[name] = result
                self._events.emit(_evaluated(when, self.state.step, result))
        self._eval_s = max(self._eval_s, self._meter.elapsed_s() - started)
        return results

    def _reserve_s(self) -> float:
        """Seconds that closing will take."""
        return self._eval_s * EVAL_RESERVE + self._save_reserve_s()

    def _save_reserve_s(self) -> float:
        return max(SAVE_RESERVE_S, SLOWER_SAVE * self._save_s)

    def _out_of_time(self, deadline_s: float | None) -> bool:
        return bool(self._stop) or (deadline_s is not None and self._meter.elapsed_s() >= deadline_s)

    def _notice(self, text: str) -> None:
        self._events.emit(Notice("warning", text))

    def _progress(self, phase: PhaseName, step: int, unit: str) -> Any:
        return lambda done, total: self._events.emit(Progress(phase, step, done, total, unit))

    @contextmanager
    def _phase(self, phase: PhaseName, step: int) -> Iterator[None]:
        self._events.emit(PhaseChanged(phase, step))
        with self._meter.phase(phase), self._peaks.phase(phase):
            yield

    def _kept(self) -> Kept:
        choices = replace(
            self._choices,
            kv_tokens=self._sampler.kv_tokens,
            micro_batch_tokens=self._learner.micro_batch_tokens,
        )
        return Kept(self.state, self.evals, self._eval_s, choices, self._collapse, self._folder.log_sizes())

    def restore(self, tensors: Mapping[str, Any], kept: Kept) -> None:
        """Go on from a checkpoint."""
        self._learner.load_state(tensors)
        self.state, self.evals, self._eval_s, self._collapse = kept.state, kept.evals, kept.eval_s, kept.collapse
        self._source.position = self.state.position
        self._checkpointed = self.state.step


def _evaluated(when: str, step: int, result: EvalResult) -> Evaluated:
    return Evaluated(when=when, step=step, **{name: getattr(result, name) for name in EvalResult.__slots__})
