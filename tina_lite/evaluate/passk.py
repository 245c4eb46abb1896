"""Sampled Pass@1 while a run trains: the mean over problems of the share of right samples, with its interval."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tina_lite.evaluate.statistics import interval95
from tina_lite.records import EvalResult, Group, Prompt
from tina_lite.rewards.accuracy import verdicts
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

    def __add__(self, more: "Asked") -> "Asked":
        return Asked(self.shares + more.shares, self.lengths + more.lengths)

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
    return Asked(
        tuple(right_share(group) for group in groups),
        tuple(len(completion.ids) for group in groups for completion in group.completions),
    )


def right_share(group: Group) -> float:
    """Share of the completions that the accuracy reward calls right."""
    texts = [completion.text for completion in group.completions]
    judged = verdicts(texts, [group.prompt.problem.answer] * len(texts))
    return sum(verdict is True for verdict in judged) / len(texts)
