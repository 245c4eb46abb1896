"""A step's numbers under TRL's names, and the completions that are kept for people to read."""

import resource
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from tina_lite.records import ScoredGroup, Update
from tina_lite.runs.events import Sample


def step_metrics(
    groups: Sequence[ScoredGroup],
    update: Update,
    *,
    usd: float,
    usd_per_hour: float,
    decoded_tokens: int,
    step_time_s: float,
) -> dict[str, float]:
    """Metrics of one step. A number that a step without gradient does not have (entropy, ...) is left out."""
    lengths = [len(completion.ids) for scored in groups for completion in scored.group.completions]
    truncated = [completion.truncated for scored in groups for completion in scored.group.completions]
    metrics = {
        "reward": fmean(total for scored in groups for total in scored.totals),
        "reward_std": fmean(stdev(scored.totals) for scored in groups),
        **_reward_means(groups),
        "frac_reward_zero_std": sum(stdev(scored.totals) == 0 for scored in groups) / len(groups),
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
        "peak_bytes": peak_bytes(),
    }
    if update.trained_tokens:
        metrics["entropy"] = update.entropy
        metrics["clip_ratio/region_mean"] = update.clip_fraction
        metrics["sampling/sampling_logp_difference/mean"] = update.logp_difference
    return metrics


def _reward_means(groups: Sequence[ScoredGroup]) -> dict[str, float]:
    """rewards/NAME/mean and /std over the completions that the reward judged."""
    metrics = {}
    for name in groups[0].rewards:
        values = [value for scored in groups for value in scored.rewards[name] if value is not None]
        if values:
            metrics[f"rewards/{name}/mean"] = fmean(values)
            metrics[f"rewards/{name}/std"] = stdev(values) if len(values) > 1 else 0.0
    return metrics


def peak_bytes() -> int:
    """Peak memory so far: the card's where one is used, else the resident size of this process."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return int(torch.cuda.max_memory_reserved())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@dataclass(frozen=True, slots=True)
class StepSamples:
    shown: Sample
    """For the console."""
    kept: Sequence[Mapping[str, Any]]
    """One whole group, for samples.jsonl."""


def step_samples(groups: Sequence[ScoredGroup]) -> StepSamples:
    """The first group that teaches something, or the first; its best completion is shown."""
    scored = next((scored for scored in groups if scored.teaches), groups[0])
    samples = [_sample(scored, index) for index in range(len(scored.totals))]
    best = max(range(len(samples)), key=lambda index: scored.totals[index])
    problem = scored.group.prompt.problem.index
    kept = [{"problem": problem, **{name: getattr(s, name) for name in Sample.__slots__}} for s in samples]
    return StepSamples(samples[best], kept)


def _sample(scored: ScoredGroup, index: int) -> Sample:
    completion, problem = scored.group.completions[index], scored.group.prompt.problem
    return Sample(
        question=problem.question,
        answer=problem.answer,
        completion=completion.text,
        rewards={name: values[index] for name, values in scored.rewards.items()},
        total=scored.totals[index],
        advantage=scored.advantages[index],
        finish_reason=completion.finish_reason,
    )
