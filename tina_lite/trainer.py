"""The loop: GRPO with a LoRA adapter on a frozen base, inside a budget.

It wires the rooms together and knows neither how a token is drawn nor who is looking. Everything that it says goes
out as events.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Protocol

from tina_lite import grpo
from tina_lite.budget import Meter, StepForecast, StopRules, outlook
from tina_lite.errors import Interrupted, TinaError
from tina_lite.evaluate import evaluate
from tina_lite.learner import Learner
from tina_lite.problems import PromptSource
from tina_lite.records import EvalResult, Group, Prompt, ScoredGroup, Update
from tina_lite.rewards import Scores, WeightedReward, score
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
from tina_lite.runs.folder import RunFolder
from tina_lite.runs.metrics import step_metrics, step_samples
from tina_lite.runs.signals import StopRequest
from tina_lite.sampler import Sampler

SAVE_RESERVE_S = 3.0
"""Seconds kept back for the last checkpoint, adapter and summary."""
EVAL_RESERVE = 1.5
"""The last evaluation may take longer than the first: completions grow."""
MAX_BAD_STEPS = 3


Judged = tuple[Group, Scores]


class Saver(Protocol):
    """What the trainer needs of a policy beside sampler and learner."""

    def save_adapter(self, folder: Path) -> None: ...


@dataclass(frozen=True, slots=True)
class Plan:
    """The recipe's numbers that the loop itself needs."""

    prompts_per_step: int
    num_generations: int
    scale_rewards: str
    learning_rate: float
    lr_scheduler_type: str
    warmup_ratio: float
    min_lr_ratio: float
    max_steps: int
    checkpoint_every: int
    checkpoint_keep: int
    eval_every: int | None
    eval_samples: int
    resample_zero_variance: int
    """How often in a step groups without variance are replaced by fresh problems."""


@dataclass(slots=True)
class State:
    """What changes from step to step, beside the learner's tensors; a checkpoint keeps all of it."""

    step: int = 0
    position: int = 0
    """Of the prompt source."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    trained_tokens: int = 0
    reward_first: float | None = None
    reward_last: float | None = None
    reward_best: float | None = None
    best_step: int = 0
    bad_steps: int = 0
    """Steps in a row whose gradient was not finite."""

    def count(self, step: int, position: int, rollout_tokens: int, groups: Sequence[ScoredGroup], trained: int) -> None:
        reward = fmean(total for scored in groups for total in scored.totals)
        self.step, self.position = step, position
        self.prompt_tokens += sum(len(scored.group.prompt.ids) for scored in groups)
        self.completion_tokens += rollout_tokens
        self.trained_tokens += trained
        self.reward_first = reward if self.reward_first is None else self.reward_first
        self.reward_last = reward
        if self.reward_best is None or reward > self.reward_best:
            self.reward_best, self.best_step = reward, step


class Trainer:
    """One run, from the first step to the last."""

    def __init__(
        self,
        plan: Plan,
        *,
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
        self._plan = plan
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
        self._eval_s = 0.0
        self._checkpointed = 0
        self.state = State()
        self.evals: dict[str, dict[str, EvalResult]] = {}
        """By "before" and "after", results by benchmark."""
        self.stop_reason = ""

    def train(self) -> None:
        """Evaluate, learn until a stop rule speaks, save, evaluate again."""
        if "before" not in self.evals:
            self.evals["before"] = self._evaluate("before")
        for step in self._steps():
            started = self._meter.elapsed_s()
            prompts = self._next_prompts(self._plan.prompts_per_step)
            groups, tokens = self._rollout(prompts, step)
            if not groups:
                break
            judged = self._score(groups, step)
            if self._plan.resample_zero_variance:
                judged, extra_tokens = self._resample(judged, step)
                tokens += extra_tokens
            scored = self._with_advantages(judged)
            update = self._update(scored, step)
            self.state.count(step, self._source.position, tokens, scored, update.trained_tokens)
            seconds = self._meter.elapsed_s() - started
            self._forecast.add(seconds)
            self._report(scored, update, tokens, seconds)
            self._refuse_bad_numbers(update)
            self._save_when_due()
        self._save()
        if self._stop:
            assert self._stop.signal_number is not None
            raise Interrupted(
                f"stopped at step {self.state.step}; go on with --resume --out {self._folder.path}",
                self._stop.signal_number,
            )
        self.evals["after"] = self._evaluate("after")

    def _steps(self) -> Iterator[int]:
        """Step numbers from 1, until a stop rule speaks."""
        self._rules.refuse_if_hopeless(self._meter.read(), 0.0, self._reserve_s())
        while not self._stop:
            reading, done = self._meter.read(), self.state.step
            reason = self._rules.before_step(done, reading, self._forecast.next_s(), self._reserve_s())
            if reason is not None:
                self.stop_reason = reason
                return
            yield done + 1

    def _next_prompts(self, count: int) -> list[Prompt]:
        skipped = self._source.too_long
        prompts = self._source.next(count)
        if self._source.too_long > skipped:
            self._notice(f"{self._source.too_long} prompts skipped so far: longer than rollout.max_prompt_length")
        return prompts

    def _rollout(self, prompts: Sequence[Prompt], step: int) -> tuple[Sequence[Group], int]:
        """Groups that were finished in time and the tokens they took; none where time or a signal ended the step."""
        deadline = self._rules.deadline_s(self._meter.read(), self._reserve_s())
        with self._phase("rollout", step):
            rollout = self._sampler.rollout(
                prompts,
                self._plan.num_generations,
                step,
                out_of_time=lambda: self._out_of_time(deadline),
                progress=self._progress("rollout", step, "completions"),
            )
        if self._stop:
            return (), rollout.decoded_tokens
        if not rollout.groups:
            self.stop_reason = self._rules.binding_limit(self._meter.read())
        return rollout.groups, rollout.decoded_tokens

    def _score(self, groups: Sequence[Group], step: int) -> list[Judged]:
        with self._phase("reward", step):
            scores = score(groups, self._rewards)
        for name, count in scores.failures.items():
            last_line = (scores.first_traceback or "").strip().rpartition("\n")[2]
            self._notice(f"reward {name} failed on {count} completions, which got 0: {last_line}")
        return list(zip(groups, scores.groups, strict=True))

    def _resample(self, judged: list[Judged], step: int) -> tuple[list[Judged], int]:
        """Groups without variance give way to fresh problems, inside the deadline (DAPO, arXiv 2503.14476, 3.2)."""
        extra_tokens = 0
        for _ in range(self._plan.resample_zero_variance):
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
        advantages = grpo.advantages([scores.totals for _, scores in judged], self._plan.scale_rewards)
        return [
            ScoredGroup(group, scores.rewards, scores.totals, advantage)
            for (group, scores), advantage in zip(judged, advantages, strict=True)
        ]

    def _update(self, groups: Sequence[ScoredGroup], step: int) -> Update:
        plan = self._plan
        rate = grpo.learning_rate(
            step / plan.max_steps, plan.learning_rate, plan.lr_scheduler_type, plan.warmup_ratio, plan.min_lr_ratio
        )
        with self._phase("update", step):
            return self._learner.update(groups, rate, step, self._progress("update", step, "micro-batches"))

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
        metrics["num_tokens"] = self.state.prompt_tokens + self.state.completion_tokens
        metrics["epoch"] = self._source.epoch
        if ahead := outlook(self._forecast, self._rules.limits, step, reading, self._reserve_s()):
            metrics["steps_left"], metrics["usd_at_end"] = ahead.steps, ahead.usd
        samples = step_samples(groups)
        self._folder.keep_samples([{"step": step, **sample} for sample in samples.kept])
        self._events.emit(StepDone(step, self._plan.max_steps, metrics, samples.shown))

    def _refuse_bad_numbers(self, update: Update) -> None:
        """A step whose gradient is not finite changed nothing; three in a row will not mend themselves."""
        self.state.bad_steps = 0 if update.finite else self.state.bad_steps + 1
        if self.state.bad_steps:
            self._notice(f"step {self.state.step}: loss or gradient is not finite; the step was skipped")
        if self.state.bad_steps >= MAX_BAD_STEPS:
            raise TinaError(
                f"{MAX_BAD_STEPS} steps in a row had a loss or gradient that is not finite; the last good checkpoint "
                f"is at step {self._checkpointed}; try a lower optim.learning_rate or model.compute_dtype=float32"
            )

    def _save_when_due(self) -> None:
        plan, step = self._plan, self.state.step
        if step % plan.checkpoint_every == 0:
            self._checkpoint()
        if plan.eval_every and step % plan.eval_every == 0 and step < plan.max_steps:
            self._evaluate("step")

    def _save(self) -> None:
        """The last checkpoint, and the adapter in PEFT's layout."""
        if self._checkpointed != self.state.step or self.state.step == 0:
            self._checkpoint()
        with self._phase("save", self.state.step):
            self._saver.save_adapter(self._folder.adapter)

    def _checkpoint(self) -> None:
        started = self._meter.elapsed_s()
        with self._phase("save", self.state.step):
            path = checkpoint.save(
                self._folder.path / "checkpoints",
                checkpoint.Checkpoint(self.state.step, self._learner.state(), self._kept_state()),
                self._plan.checkpoint_keep,
            )
        self._checkpointed = self.state.step
        seconds = round(self._meter.elapsed_s() - started, 3)
        self._events.emit(CheckpointSaved(self.state.step, str(path.relative_to(self._folder.path)), seconds))

    def _evaluate(self, when: str) -> dict[str, EvalResult]:
        """Every benchmark in turn, inside what money is left beside the reserve for saving."""
        started, results = self._meter.elapsed_s(), {}
        deadline = self._rules.deadline_s(self._meter.read(), SAVE_RESERVE_S)
        for name, prompts in self._benchmarks.items():
            with self._phase("eval", self.state.step):
                result = evaluate(
                    self._eval_sampler,
                    prompts,
                    self._plan.eval_samples,
                    name,
                    out_of_time=lambda: self._out_of_time(deadline),
                    progress=self._progress("eval", self.state.step, "completions"),
                )
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
        return self._eval_s * EVAL_RESERVE + SAVE_RESERVE_S

    def _out_of_time(self, deadline_s: float | None) -> bool:
        return bool(self._stop) or (deadline_s is not None and self._meter.elapsed_s() >= deadline_s)

    def _notice(self, text: str) -> None:
        self._events.emit(Notice("warning", text))

    def _progress(self, phase: PhaseName, step: int, unit: str) -> Any:
        return lambda done, total: self._events.emit(Progress(phase, step, done, total, unit))

    @contextmanager
    def _phase(self, phase: PhaseName, step: int) -> Iterator[None]:
        self._events.emit(PhaseChanged(phase, step))
        with self._meter.phase(phase):
            yield

    def _kept_state(self) -> dict[str, Any]:
        return {
            "state": {name: getattr(self.state, name) for name in State.__slots__},
            "evals": {
                when: {name: _eval_fields(result) for name, result in results.items()}
                for when, results in self.evals.items()
            },
            "eval_s": self._eval_s,
        }

    def restore(self, saved: checkpoint.Checkpoint) -> None:
        """Go on from a checkpoint."""
        self._learner.load_state(dict(saved.tensors))
        self.state = State(**saved.state["state"])
        self._source.position = self.state.position
        self._eval_s = saved.state["eval_s"]
        self._checkpointed = saved.step
        self.evals = {
            when: {name: EvalResult(**{**fields, "ci95": tuple(fields["ci95"])}) for name, fields in results.items()}
            for when, results in saved.state["evals"].items()
        }


def _eval_fields(result: EvalResult) -> dict[str, Any]:
    return {name: getattr(result, name) for name in EvalResult.__slots__}


def _evaluated(when: str, step: int, result: EvalResult) -> Evaluated:
    return Evaluated(when=when, step=step, **_eval_fields(result))
