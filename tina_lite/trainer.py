"""The loop: GRPO with a LoRA adapter on a frozen base, inside a budget.

It wires the rooms together and knows neither how a token is drawn nor who is looking. Everything that it says goes
out as events. A step is whole or it was not: what is given up or fails leaves all as it was after the step before.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from tina_lite import grpo
from tina_lite.budget import Meter, StopRules
from tina_lite.budget.pace import Pace
from tina_lite.collapse import CollapseWatch
from tina_lite.errors import Interrupted, NoRoom, TinaError
from tina_lite.evaluate.examiner import Examiner, Results
from tina_lite.learner import Learner
from tina_lite.problems import PromptSource
from tina_lite.records import Group, Prompt, ScoredGroup, Update
from tina_lite.rewards import BrokenRewards, Scores, StepScores, TrainerState, WeightedReward, score
from tina_lite.runs.events import EventStream, Notice, StepDone
from tina_lite.runs.folder import RunFolder
from tina_lite.runs.identity import Identity
from tina_lite.runs.keeper import Keeper
from tina_lite.runs.metrics import Resampled, step_metrics, step_samples
from tina_lite.runs.phases import Phases
from tina_lite.runs.signals import StopRequest
from tina_lite.runs.state import Kept, MachineChoices, RunState
from tina_lite.sampler import Sampler
from tina_lite.wall_clock import OutOfTime

MAX_BAD_STEPS = 3
OUTLOOK_AFTER = 2
"""Steps of a session after which it is said what the budget can pay for; the first is slower than the others."""
MUCH_LESS = 0.9
"""Of the steps that were asked for: fewer are worth a word."""

Judged = tuple[Group, Scores]


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
    one_epoch: bool
    """Whether that is one epoch, as the recipe names no number: the budget may pay for less."""
    eval_every: int | None
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
        identity: Identity,
        sampler: Sampler,
        learner: Learner,
        source: PromptSource,
        rewards: Sequence[WeightedReward],
        examiner: Examiner,
        keeper: Keeper,
        pace: Pace,
        phases: Phases,
        folder: RunFolder,
        meter: Meter,
        rules: StopRules,
        events: EventStream,
        stop: StopRequest,
    ) -> None:
        self._settings = settings
        self._choices = choices
        self._identity = identity
        self._sampler = sampler
        self._learner = learner
        self._source = source
        self._rewards = rewards
        self._examiner = examiner
        self._keeper = keeper
        self._pace = pace
        self._phases = phases
        self._folder = folder
        self._meter = meter
        self._rules = rules
        self._events = events
        self._stop = stop
        self._session_steps = 0
        self._fell_back = False
        self._collapse = CollapseWatch()
        self._broken = BrokenRewards()
        self._said: set[str] = set()
        self.state = RunState()
        self.stop_reason = ""
        self._whole = self._kept().to_json()
        """As a checkpoint keeps it, of the last whole step."""

    def train(self) -> None:
        """Evaluate, learn until a stop rule speaks, save, evaluate again."""
        if self.state.step == 0:
            self._keeper.save(0, self._whole, adapter=True, say=False)  # what cannot be saved must not be paid for
            self._examiner.before()
            self._whole = self._kept().to_json()
        for step in self._steps():
            try:
                self._step(step)
            except OutOfTime:
                self._give_up(step)
                break
            self._save_when_due()
        self._keeper.save(self.state.step, self._whole, adapter=True)
        self._leave_if_asked()
        self._examiner.after(self.state.step)
        self._leave_if_asked()

    def _step(self, step: int) -> None:
        started = self._meter.elapsed_s()
        prompts = self._next_prompts(self._settings.prompts_per_step)
        groups, tokens = self._rollout(prompts, step)
        if not groups:
            raise OutOfTime
        judged = self._score(groups, step, self._meter.elapsed_s() - started)
        resampled = None
        if self._settings.resample_zero_variance:
            judged, resampled = self._resample(judged, step)
            tokens += resampled.completion_tokens
        scored = self._with_advantages(judged)
        update = self._update(scored, step)
        self.state.count(step, self._source.position, tokens, scored, update.trained_tokens)
        if resampled is not None:
            self.state.prompt_tokens += resampled.prompt_tokens
        seconds = self._meter.elapsed_s() - started
        self._pace.step_took(seconds)
        self._report(scored, update, tokens, seconds, resampled)
        self._refuse_bad_numbers(update)
        self._whole = self._kept().to_json()
        self._session_steps += 1

    def rescue(self) -> int | None:
        """After whatever ended the loop: save the last whole step. Its number; None where it cannot be saved."""
        if self._fell_back:
            return self._keeper.newest
        self._back_to_whole_step()
        self._keeper.save(self.state.step, self._whole, adapter=True)
        return self.state.step

    def restore(self, tensors: Mapping[str, Any], kept: Kept) -> None:
        """Go on from a checkpoint."""
        self._learner.load_state(tensors)
        self._pace.restore(kept.timings)
        self._take(kept)
        laid_out = self.state.schedule_steps
        if laid_out is not None and not self._settings.one_epoch and laid_out != self._settings.max_steps:
            self._notice(
                f"the learning rate was laid out over {laid_out} steps when the run began, and stays so: "
                f"stop.max_steps is {self._settings.max_steps} now"
            )
        self._keeper.newest = self.state.step
        self._whole = self._kept().to_json()

    @property
    def evals(self) -> Results:
        """By "before" and "after", results by benchmark."""
        return self._examiner.results

    def _take(self, kept: Kept) -> None:
        self.state, self._examiner.results, self._collapse = kept.state, kept.evals, kept.collapse
        self._source.position = self.state.position

    def _kept(self) -> Kept:
        choices = replace(
            self._choices,
            kv_tokens=self._sampler.kv_tokens,
            micro_batch_tokens=self._learner.micro_batch_tokens,
        )
        results, timings = self._examiner.results, self._pace.timings
        sizes = self._folder.log_sizes()
        return Kept(self.state, results, timings, choices, self._collapse, sizes, self._identity)

    def _back_to_whole_step(self) -> None:
        """As if the step under way had not begun; evaluations that are whole stay."""
        whole = int(self._whole["state"]["step"])
        if self._learner.updated_at > whole:
            self._learner.undo()
        self._take(replace(Kept.from_json(self._whole, whole), evals=self._examiner.results))

    def _give_up(self, step: int) -> None:
        """The time of a step is up, or a signal came."""
        self._back_to_whole_step()
        if not self._stop:
            self.stop_reason = self._pace.limit()
            self._say_what_did_not_fit(f"step {step} was given up: what it still needed did not fit")
        if not self._stop and step == 1:
            raise NoRoom(
                f"{self.stop_reason} is too small for one step: raise it, or ask for less in a step "
                "(rollout.prompts_per_step, rollout.max_completion_length)"
            )

    def _steps(self) -> Iterator[int]:
        """Step numbers from 1, until a stop rule speaks."""
        if self.state.step == 0:
            self._rules.refuse_if_hopeless(self._meter.read(), 0.0, self._pace.reserve_s)
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
        state, forecast_s = self.state, self._pace.step_s
        reason = self._rules.before_step(
            state.step,
            self._meter.read(),
            forecast_s,
            self._pace.reserve_s,
            tokens=state.prompt_tokens + state.completion_tokens,
            step_tokens=state.step_tokens,
            held=state.held,
        )
        if reason in ("max_usd", "max_hours", "until"):
            self._say_what_did_not_fit(f"one more step may take {forecast_s:.1f} s")
        return reason

    def _say_what_did_not_fit(self, why: str) -> None:
        kept = f"{self._pace.reserve_s:.1f} s are kept for closing"
        left_s = self._pace.left_s() or 0.0
        self._events.emit(Notice("info", f"{self._pace.limit()} leaves {left_s:.1f} s: {kept}, and {why}"))

    def _next_prompts(self, count: int) -> list[Prompt]:
        prompts = self._source.next(count)
        if skipped := self._source.too_long:  # said of the first, and again when there are ten times as many
            said = f"{skipped} prompts skipped so far: longer than rollout.max_prompt_length"
            self._say_once(said, f"skipped {len(str(skipped))}")
        return prompts

    def _rollout(self, prompts: Sequence[Prompt], step: int) -> tuple[Sequence[Group], int]:
        """Groups that were finished in time and the tokens they took."""
        with self._phases("rollout", step):
            rollout = self._sampler.rollout(
                prompts,
                self._settings.num_generations,
                step,
                out_of_time=self._pace.out_of_time_for_rollout(),
                progress=self._phases.progress("rollout", step, "completions"),
            )
        if self._stop:  # of a step that goes on after a resume nothing may be trained now
            raise OutOfTime
        return rollout.groups, rollout.decoded_tokens

    def _score(self, groups: Sequence[Group], step: int, rollout_s: float) -> list[Judged]:
        started = self._meter.elapsed_s()
        with self._phases("reward", step), self._stop.limited(self._pace.scoring_may_take_s(rollout_s)):
            scores = score(groups, self._rewards, self._trainer_state(step))
        self._pace.timings.reward = max(self._pace.timings.reward, self._meter.elapsed_s() - started)
        if scores.failures:
            self._say_failures(scores)
        for name in scores.silent:
            self._say_once(
                f"reward {name} gave None for every completion of step {step}: it counts for nothing there", name
            )
        broken = self._broken.after(scores)
        if broken:
            raise TinaError(
                f"reward {', '.join(broken)} keeps failing, see {self._folder.reward_error}; "
                f"step {self.state.step} is saved: mend it and go on with: tina-lite resume {self._folder.path}"
            )
        return list(zip(groups, scores.groups, strict=True))

    def _trainer_state(self, step: int) -> TrainerState:
        return TrainerState(step - 1, self._settings.max_steps, self._source.position / self._source.problems)

    def _say_failures(self, scores: StepScores) -> None:
        """Count, show, and keep the first traceback of the run."""
        for name, count in scores.failures.items():
            self.state.reward_failures[name] = self.state.reward_failures.get(name, 0) + count
            failed = f"reward {name} failed on {count} completions of {scores.completions}"
            self._notice(f"{failed}: {scores.reason(name)}")
            self._folder.keep_reward_error(scores.tracebacks[name])

    def _resample(self, judged: list[Judged], step: int) -> tuple[list[Judged], Resampled]:
        """Groups without variance give way to fresh problems, inside the deadline (DAPO, arXiv 2503.14476, 3.2)."""
        resampled = Resampled(fmean(total for _, scores in judged for total in scores.totals))
        for _ in range(self._settings.resample_zero_variance):
            teaching = [(group, scores) for group, scores in judged if len(set(scores.totals)) > 1]
            missing = len(judged) - len(teaching)
            if not missing:
                break
            started = self._meter.elapsed_s()
            fresh, tokens = self._rollout(self._next_prompts(missing), step)
            resampled.completion_tokens += tokens
            if len(fresh) < missing:  # out of time: the step goes on with what it has
                break
            resampled.groups += missing
            resampled.prompt_tokens += sum(len(group.prompt.ids) for group, _ in judged) - sum(
                len(group.prompt.ids) for group, _ in teaching
            )
            judged = teaching + self._score(fresh, step, self._meter.elapsed_s() - started)
        return judged, resampled

    def _with_advantages(self, judged: Sequence[Judged]) -> list[ScoredGroup]:
        advantages = grpo.advantages([scores.totals for _, scores in judged], self._settings.scale_rewards)
        return [
            ScoredGroup(group, scores.rewards, scores.totals, advantage)
            for (group, scores), advantage in zip(judged, advantages, strict=True)
        ]

    def _update(self, groups: Sequence[ScoredGroup], step: int) -> Update:
        settings, started = self._settings, self._meter.elapsed_s()
        if self.state.started_s is None:
            self.state.started_s = self._meter.read().total_s
        horizon = self._pace.horizon(step, self._schedule_steps(step), settings.lr_horizon, self.state.started_s)
        self.state.horizon = max(self.state.horizon, horizon)
        rate = grpo.learning_rate(
            self.state.horizon,
            settings.learning_rate,
            settings.lr_scheduler_type,
            settings.warmup_ratio,
            settings.min_lr_ratio,
        )
        out_of_time = self._pace.out_of_time(self._pace.reserve_s)
        with self._phases("update", step):
            progress = self._phases.progress("update", step, "micro-batches")
            update = self._learner.update(groups, rate, step, progress, out_of_time)
        if update.trained_tokens:
            self._pace.timings.update = max(self._pace.timings.update, self._meter.elapsed_s() - started)
        return update

    def _schedule_steps(self, step: int) -> int:
        """Over how many steps the learning rate is laid out.

        One epoch may be far more than the budget pays for, and the rate would never leave its warm-up: as soon as the
        speed is known it is as many steps as there will be.
        """
        settings = self._settings
        if self.state.schedule_steps is None:
            ahead = self._pace.outlook(step - 1) if settings.one_epoch and step > OUTLOOK_AFTER else None
            if not settings.one_epoch:
                self.state.schedule_steps = settings.max_steps
            elif ahead is not None:
                steps = self.state.schedule_steps = max(step, min(settings.max_steps, step - 1 + ahead.steps))
                if steps < settings.max_steps:
                    self._notice(
                        f"the learning rate is laid out over {steps} steps, which {self._pace.limit()} pays for; one "
                        f"epoch would be {settings.max_steps}. stop.max_steps sets it"
                    )
        return self.state.schedule_steps or settings.max_steps

    def _report(
        self,
        groups: Sequence[ScoredGroup],
        update: Update,
        tokens: int,
        seconds: float,
        resampled: Resampled | None,
    ) -> None:
        step, reading = self.state.step, self._meter.read()
        metrics = step_metrics(
            groups,
            update,
            usd=reading.usd,
            usd_per_hour=reading.rate,
            decoded_tokens=tokens,
            step_time_s=seconds,
        )
        metrics |= self._phases.peaks.metrics()
        if resampled is not None:
            metrics |= resampled.metrics()
        metrics["num_tokens"] = self.state.prompt_tokens + self.state.completion_tokens
        metrics["epoch"] = self._source.epoch
        if self._settings.lr_horizon == "budget":
            metrics["lr_horizon"] = self.state.horizon
        self._watch_condition(metrics)
        if metrics["completions/clipped_ratio"] == 1:
            self._say_once(
                f"all completions of step {step} were cut off before they ended; rollout.max_completion_length may be "
                "too short",
                "cut off",
            )
        for sign in self._collapse.after(metrics):
            self._notice(f"step {step}: {sign}")
        if ahead := self._pace.outlook(step):
            metrics["steps_left"], metrics["usd_at_end"] = ahead.steps, ahead.usd
            if self._session_steps + 1 == OUTLOOK_AFTER and step + ahead.steps < MUCH_LESS * self._settings.max_steps:
                self._notice(
                    f"at this speed {self._pace.limit()} pays for about {step + ahead.steps} of "
                    f"{self._settings.max_steps} steps"
                )
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
        self._fell_back = True
        saved = self._keeper.read_newest()
        if saved is None:
            return 0
        self._learner.load_state(saved.tensors)
        self._keeper.save_adapter()
        return saved.step

    def _save_when_due(self) -> None:
        settings, step = self._settings, self.state.step
        if self._keeper.due(step) and not self.state.bad_steps:
            self._keeper.save(step, self._whole, adapter=False)
        if settings.eval_every and step % settings.eval_every == 0 and step < settings.max_steps:
            self._examiner.during(step)
            self._whole = self._kept().to_json()

    def _leave_if_asked(self) -> None:
        if self._stop:
            assert self._stop.signal_number is not None
            self.stop_reason = Interrupted.kind
            raise Interrupted(
                f"stopped at step {self.state.step}; go on with: tina-lite resume {self._folder.path}",
                self._stop.signal_number,
            )

    def _say_once(self, text: str, matter: str) -> None:
        """Once a session, however often the matter comes up."""
        if matter not in self._said:
            self._said.add(matter)
            self._notice(text)

    def _notice(self, text: str) -> None:
        self._events.emit(Notice("warning", text))
