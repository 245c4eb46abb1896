"""A step's numbers under TRL's names, and the completions that are kept for people to read."""

import math
from collections.abc import Iterable, Sequence
from statistics import fmean, stdev
from typing import Any

from tina_lite.runs.events import Sample
from tina_lite.util.records import ScoredGroup, Update

METRICS = (
    "reward",
    "reward_std",
    "frac_reward_zero_std",
    "frac_completions_equal",
    "grad_norm",
    "adapter_norm",
    "loss",
    "learning_rate",
    "lr_horizon",
    "entropy",
    "kl",
    "clip_ratio/region_mean",
    "sampling/sampling_logp_difference/mean",
    "completions/mean_length",
    "completions/min_length",
    "completions/max_length",
    "completions/clipped_ratio",
    "resampling/reward_before",
    "resampling/discarded_groups",
    "selection/error",
    "selection/distinct",
    "update/tokens_saved",
    "loops/ended",
    "loops/tokens_saved",
    "skipped_groups",
    "step_time",
    "tokens_per_second",
    "num_tokens",
    "epoch",
    "peak_bytes",
    "peak_share",
    "usd",
    "usd_per_hour",
    "usd_at_end",
    "steps_left",
)


def step_metrics(
    groups: Sequence[ScoredGroup],
    update: Update,
    *,
    usd: float,
    usd_per_hour: float,
    decoded_tokens: int,
    step_time_s: float,
) -> dict[str, float]:
    """Compute metrics of one step. A number that a step without gradient does not have (entropy, ...) is left out."""
    lengths = [len(completion.ids) for scored in groups for completion in scored.group.completions]
    truncated = [completion.truncated for scored in groups for completion in scored.group.completions]
    metrics = {
        "reward": fmean(total for scored in groups for total in scored.totals),
        "reward_std": fmean(stdev(scored.totals) for scored in groups),
        **_reward_means(groups),
        "frac_reward_zero_std": sum(stdev(scored.totals) == 0 for scored in groups) / len(groups),
        "frac_completions_equal": sum(_all_equal(scored) for scored in groups) / len(groups),
        "grad_norm": update.grad_norm,
        "loss": update.loss,
        "learning_rate": update.learning_rate,
        "completions/mean_length": fmean(lengths),
        "completions/min_length": min(lengths),
        "completions/max_length": max(lengths),
        "completions/clipped_ratio": sum(truncated) / len(truncated),
        "step_time": step_time_s,
        "tokens_per_second": decoded_tokens / step_time_s,
        "skipped_groups": update.skipped_groups,
        "usd": usd,
        "usd_per_hour": usd_per_hour,
    }
    if update.saved_tokens:
        metrics["update/tokens_saved"] = update.saved_tokens
    if math.isfinite(update.adapter_norm):
        metrics["adapter_norm"] = update.adapter_norm
    if update.trained_tokens:
        metrics["entropy"] = update.entropy
        metrics["clip_ratio/region_mean"] = update.clip_fraction
        metrics["sampling/sampling_logp_difference/mean"] = update.logp_difference
        if update.kl is not None:
            metrics["kl"] = update.kl
    return metrics


def metric_names(rewards: Iterable[str]) -> list[str]:
    """Of all that a step may have, with what the recorder adds, and what only some recipes or steps do."""
    return [*METRICS, *(f"rewards/{name}/{what}" for name in rewards for what in ("mean", "std"))]


def _all_equal(scored: ScoredGroup) -> bool:
    return len({completion.ids for completion in scored.group.completions}) == 1


def _reward_means(groups: Sequence[ScoredGroup]) -> dict[str, float]:
    """rewards/NAME/mean and /std over the completions that the reward judged."""
    metrics = {}
    for name in groups[0].rewards:
        values = [value for scored in groups for value in scored.rewards[name] if value is not None]
        if values:
            metrics[f"rewards/{name}/mean"] = fmean(values)
            metrics[f"rewards/{name}/std"] = stdev(values) if len(values) > 1 else 0.0
    return metrics


def step_samples(groups: Sequence[ScoredGroup]) -> tuple[Sample, Sample, list[dict[str, Any]]]:
    """What people see of a step: a completion at its best, a typical one, and a whole group for samples.jsonl.

    The group is the first that teaches something, or the first; the best is its best. Typical is the one that is
    nearest to the mean reward of all groups; of several, to the mean length.
    """
    scored = next((scored for scored in groups if scored.teaches), groups[0])
    samples = [_sample(scored, index) for index in range(len(scored.totals))]
    best = max(range(len(samples)), key=lambda index: scored.totals[index])
    problem = scored.group.prompt.problem.index
    verifier = scored.group.prompt.problem.verifier
    kept = [
        {
            "problem": problem,
            **{name: getattr(sample, name) for name in Sample.__slots__},
            "completion_tokens": len(completion.ids),
            **({} if verifier is None else {"verifier": verifier}),
        }
        for sample, completion in zip(samples, scored.group.completions, strict=True)
    ]
    return samples[best], _typical(groups), kept


def _typical(groups: Sequence[ScoredGroup]) -> Sample:
    every = [(scored, index) for scored in groups for index in range(len(scored.totals))]
    reward = fmean(scored.totals[index] for scored, index in every)
    length = fmean(len(scored.group.completions[index].ids) for scored, index in every)

    def distance(place: tuple[ScoredGroup, int]) -> tuple[float, float]:
        scored, index = place
        return abs(scored.totals[index] - reward), abs(len(scored.group.completions[index].ids) - length)

    return _sample(*min(every, key=distance))


def _sample(scored: ScoredGroup, index: int) -> Sample:
    completion, problem = scored.group.completions[index], scored.group.prompt.problem
    return Sample(
        question=problem.question,
        answer=" or ".join((problem.answer, *problem.also)),
        completion=completion.text,
        rewards={name: values[index] for name, values in scored.rewards.items()},
        total=scored.totals[index],
        advantage=scored.advantages[index],
        finish_reason=completion.finish_reason,
    )
