"""A step's groups: problems are asked, completions sampled and scored, groups without variance replaced."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean

from tina_lite import grpo
from tina_lite.data import PromptSource
from tina_lite.recipe.schema import RolloutSection
from tina_lite.rewards import BrokenRewards, StepScores, TrainerState, WeightedReward, score
from tina_lite.rollout.sampler import Sampler
from tina_lite.runs.session import Session
from tina_lite.train.selection import Selector
from tina_lite.util.errors import TinaError
from tina_lite.util.records import Group, Prompt, ScoredGroup
from tina_lite.util.stateful import Fields
from tina_lite.util.wall_clock import OutOfTime


@dataclass(slots=True)
class Collected:
    """Holds what a step learns from."""

    groups: list[ScoredGroup]
    prompt_tokens: int
    """Of all groups that were finished, replaced ones included, as below."""
    decoded_tokens: int
    position: int
    """Of the prompt source behind them."""
    metrics: dict[str, float]
    """The epoch, and what replacing groups did."""

    @property
    def reward(self) -> float:
        """The mean over all completions."""
        return fmean(total for scored in self.groups for total in scored.totals)


@dataclass(slots=True)
class Failures(Fields):
    """By reward name, completions on which it failed."""

    reward_failures: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Collector:
    """Samples with one policy, and scores with the recipe's rewards."""

    session: Session
    sampler: Sampler
    source: PromptSource
    rewards: Sequence[WeightedReward]
    rollout: RolloutSection
    scale_rewards: str
    selector: Selector | None
    """Asks some of the source's problems; None: all are asked, in its order."""
    max_steps: int
    """Told to rewards that ask how far training is."""
    kept: Failures = field(init=False, default_factory=Failures)
    _broken: BrokenRewards = field(init=False)
    out_of_tokens: bool = field(init=False, default=False)
    """Whether stop.max_tokens left too few for a single group of the latest rollout."""
    _step_tokens: int = field(init=False, default=0)
    """Of the step under way, prompts included."""
    _scored: list[ScoredGroup] = field(init=False, default_factory=list)
    """Of the step under way, replaced ones included."""

    def __post_init__(self) -> None:
        most = {one.reward.name: one.max_failures for one in self.rewards if one.max_failures is not None}
        self._broken = BrokenRewards(most)

    def collect(self, step: int) -> Collected:
        """Collect the groups of one step. OutOfTime where none was finished, or a signal came."""
        self._step_tokens, self._scored = 0, []
        self.source.position = self.session.state.position
        sampled, tokens, seconds = self._sample(self._next_prompts(self.rollout.prompts_per_step), step)
        if not sampled:
            raise OutOfTime
        groups = self._score(sampled, step, seconds)
        collected = Collected(groups, _prompt_tokens(sampled), tokens, self.source.position, {})
        if self.rollout.resample_zero_variance:
            self._resample(collected, step)
        collected.groups = with_advantages(collected.groups, self.scale_rewards)
        if self.selector is not None:
            collected.metrics |= self.selector.learn(self._scored)
        if self.rollout.stop_loops:
            collected.metrics |= _loops(collected.groups, self.rollout.max_completion_length)
        collected.position, collected.metrics["epoch"] = self.source.position, self.source.epoch
        return collected

    def _next_prompts(self, count: int) -> list[Prompt]:
        prompts = (self.selector or self.source).next(count)
        for reason, rows in self.source.passed_over.items():
            # said of the first, and again when there are ten times as many
            said = f"{len(rows)} prompts skipped so far: {reason}"
            self.session.warn_once(said, f"skipped {len(str(len(rows)))} {reason}")
        return prompts

    def _sample(self, prompts: Sequence[Prompt], step: int) -> tuple[Sequence[Group], int, float]:
        """Groups that were finished in time, and the tokens and seconds they took."""
        session = self.session
        self._step_tokens += sum(len(prompt.ids) for prompt in prompts)
        out_of_time = session.deadlines.out_of_time_for_rollout()
        max_tokens = session.deadlines.left().tokens - self._step_tokens
        with session.phases("rollout", step) as phase:
            rollout = self.sampler.rollout(
                prompts,
                self.rollout.num_generations,
                step,
                out_of_time=out_of_time,
                max_tokens=max_tokens,
                progress=session.phases.progress("rollout", step, "completions"),
            )
        if session.stop:  # of a step that goes on after a resume nothing may be trained now
            raise OutOfTime
        self.out_of_tokens = not rollout.groups and not out_of_time()
        self._step_tokens += rollout.decoded_tokens
        return rollout.groups, rollout.decoded_tokens, phase.seconds

    def _score(self, groups: Sequence[Group], step: int, rollout_s: float) -> list[ScoredGroup]:
        session = self.session
        with session.phases("reward", step), session.stop.limited(session.deadlines.scoring_may_take_s(rollout_s)):
            scores = score(groups, self.rewards, self._trainer_state(step))
        self._warn_of_failures(scores)
        for name in scores.silent:
            said = f"reward {name} gave None for every completion of step {step}: it counts for nothing there"
            session.warn_once(said, name)
        broken = self._broken.after(scores)
        if broken:
            raise TinaError(
                f"reward {', '.join(broken)} keeps failing, see {session.folder.reward_error}; "
                f"step {session.state.step} is saved: mend it and go on with: tina-lite resume {session.folder.path}"
            )
        pairs = zip(groups, scores.groups, strict=True)
        found = [ScoredGroup(group, of_group.rewards, of_group.totals) for group, of_group in pairs]
        self._scored += found
        return found

    def _trainer_state(self, step: int) -> TrainerState:
        return TrainerState(step - 1, self.max_steps, self.source.position / self.source.problems)

    def _warn_of_failures(self, scores: StepScores) -> None:
        """Count, show, and keep the first traceback of the run."""
        failures = self.kept.reward_failures
        for name, count in scores.failures.items():
            failures[name] = failures.get(name, 0) + count
            failed = f"reward {name} failed on {count} completions of {scores.completions}"
            self.session.warn(f"{failed}: {scores.reason(name)}")
            self.session.folder.keep_reward_error(scores.tracebacks[name])

    def _resample(self, collected: Collected, step: int) -> None:
        """Groups without variance give way to fresh problems, inside the deadline (DAPO, arXiv 2503.14476, 3.2)."""
        reward, discarded = collected.reward, 0
        for _ in range(self.rollout.resample_zero_variance):
            teaching = [scored for scored in collected.groups if len(set(scored.totals)) > 1]
            missing = len(collected.groups) - len(teaching)
            if not missing:
                break
            fresh, tokens, seconds = self._sample(self._next_prompts(missing), step)
            collected.decoded_tokens += tokens
            if len(fresh) < missing:  # out of time: the step goes on with what it has
                break
            discarded += missing
            collected.prompt_tokens += _prompt_tokens(fresh)
            collected.groups = teaching + self._score(fresh, step, seconds)
        collected.metrics |= {"resampling/reward_before": reward, "resampling/discarded_groups": discarded}


def _loops(groups: Sequence[ScoredGroup], longest: int) -> dict[str, float]:
    """How many completions were ended in a loop, and the tokens that they would have gone on for at most."""
    ended = [len(c.ids) for scored in groups for c in scored.group.completions if c.finish_reason == "loop"]
    return {"loops/ended": len(ended), "loops/tokens_saved": sum(longest - length for length in ended)}


def _prompt_tokens(groups: Sequence[Group]) -> int:
    return sum(len(group.prompt.ids) for group in groups)


def with_advantages(groups: Sequence[ScoredGroup], scale_rewards: str) -> list[ScoredGroup]:
    """Group-relative advantages (grpo.py)."""
    advantages = grpo.advantages([scored.totals for scored in groups], scale_rewards)
    return [replace(scored, advantages=own) for scored, own in zip(groups, advantages, strict=True)]
