"""Sampled Pass@1 while a run trains: the mean over problems of the share of right samples, with its interval."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tina_lite.evaluate.statistics import interval95
from tina_lite.records import EvalResult, Group, Prompt
from tina_lite.rewards.accuracy import verdicts
from tina_lite.rewards.golds import Verdict
from tina_lite.rewards.workers import LOST
from tina_lite.sampler import Sampler

EVAL_STEP = 0
"""The sampler's step number for evaluation; training counts from 1. The same draws each time: results are paired."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What problems came to, in their order."""

    shares: tuple[float, ...] = ()
    """Of right samples, by problem."""
    lengths: tuple[int, ...] = ()
    """Tokens, by completion."""
    undecided: int = 0
    """Completions that could not be judged in time; they count as wrong."""

    def __add__(self, more: "Asked") -> "Asked":
        return Asked(self.shares + more.shares, self.lengths + more.lengths, self.undecided + more.undecided)

    def result(self, benchmark: str, samples: int) -> EvalResult:
        """Of one problem or more."""
        return EvalResult(
            benchmark=benchmark,
            pass_at_1=sum(self.shares) / len(self.shares),
            ci95=interval95(self.shares),
            problems=len(self.shares),
            samples=samples,
            mean_length=sum(self.lengths) / len(self.lengths),
        )


def ask(
    sampler: Sampler,
    prompts: Sequence[Prompt],
    samples: int,
    *,
    out_of_time: Callable[[], bool] = lambda: False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Group, ...] | None:
    """Completions of every problem; None where some were not finished in time: the quick ones alone are no sample."""
    rollout = sampler.rollout(prompts, samples, EVAL_STEP, out_of_time=out_of_time, progress=progress)
    return None if rollout.unfinished_groups else rollout.groups


def judge(groups: Sequence[Group]) -> Asked:
    """What the accuracy reward makes of them."""
    judged = [judge_group(group) for group in groups]
    return Asked(
        tuple(sum(verdict is True for verdict in group) / len(group) for group in judged),
        tuple(len(completion.ids) for group in groups for completion in group.completions),
        sum(verdict is LOST for group in judged for verdict in group),
    )


def judge_group(group: Group) -> list[Verdict]:
    """Of each completion."""
    texts = [completion.text for completion in group.completions]
    return verdicts(texts, [group.prompt.problem.gold] * len(texts))
