"""Sampled Pass@1 while a run trains: the mean over problems of the share of right samples, with its interval."""

from collections.abc import Callable, Sequence

from tina_lite.evaluate.statistics import interval95
from tina_lite.records import EvalResult, Group, Prompt
from tina_lite.rewards.accuracy import verdicts
from tina_lite.sampler import Sampler

EVAL_STEP = 0
"""The sampler's step number for evaluation; training counts from 1. The same draws each time: results are paired."""


def evaluate(
    sampler: Sampler,
    prompts: Sequence[Prompt],
    samples: int,
    benchmark: str,
    *,
    out_of_time: Callable[[], bool] = lambda: False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> EvalResult | None:
    """Measure Pass@1; problems that the deadline left unfinished do not count. None where no problem was finished."""
    rollout = sampler.rollout(prompts, samples, EVAL_STEP, out_of_time=out_of_time, progress=progress)
    if not rollout.groups:
        return None
    shares = [right_share(group) for group in rollout.groups]
    lengths = [len(completion.ids) for group in rollout.groups for completion in group.completions]
    return EvalResult(
        benchmark=benchmark,
        pass_at_1=sum(shares) / len(shares),
        ci95=interval95(shares),
        problems=len(shares),
        samples=samples,
        mean_length=sum(lengths) / len(lengths),
    )


def right_share(group: Group) -> float:
    """Share of the completions that the accuracy reward calls right."""
    texts = [completion.text for completion in group.completions]
    judged = verdicts(texts, [group.prompt.problem.answer] * len(texts))
    return sum(verdict is True for verdict in judged) / len(texts)
