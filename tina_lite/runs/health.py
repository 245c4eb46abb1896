"""What is amiss with a run, in words, with what to try: rules over the metrics of its latest steps and all rewards.

Ranges are those in which training of this kind is known to go well: Axolotl, docs/training_stability.qmd.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

History = Sequence[Mapping[str, float]]
"""The metrics of the latest steps, oldest first, under the names of metrics.jsonl. Any may be missing or NaN."""

HEALTHY: Mapping[str, tuple[float, float]] = {
    "frac_reward_zero_std": (0.0, 0.8),
    "entropy": (0.05, 0.5),
    "grad_norm": (0.001, 1.0),
    "kl": (-0.5, 0.5),
    "completions/clipped_ratio": (0.0, 0.3),
}
"""Lowest and highest healthy value; a figure outside is marked wherever people look."""
COLLAPSED_ENTROPY = 0.01
"""Nats a token: here and below nothing is left to explore, and the run may end."""
COLLAPSED_TRUNCATION = 0.5
COLLAPSED_REWARD = 0.5
"""Of the best smoothed reward."""

CLIPPED_MOST = 0.8
"""Up to here cut-off completions are a thing to know, beyond it a fault."""
REWARD_LEAST = 0.15
"""What the mean reward should have passed within `START_STEPS`."""
START_STEPS = 20
FLAT = 3
"""Steps in a row in which every reward is 0."""
RECENT = 5
"""One step may be an accident: rules ask for the median of so many."""
LOOKED_AT = 40
"""Latest steps that rules look at: not every one has an entropy or a gradient."""
FALLING = 0.9
"""An entropy that came down to this share of what it was is on its way into its range."""
HOLDS = 0.8
"""A reward of at least this share of the best so far has not fallen."""
MOSTLY = 0.5
"""Of the groups."""
LEARNT = 0.5
"""Where this share is right, groups of equal rewards are mostly groups in which all are."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """One thing that is amiss."""

    name: str
    """For programs: reward_zero, reward_low, no_variance, clipped, entropy_low, ..."""
    words: str
    """What is so, with the figure."""
    advice: str
    """What to try, in the names of a recipe's fields."""


def alarms(history: History, rewards: Sequence[float]) -> list[Alarm]:
    """What is amiss after these steps, the gravest first; before there are `RECENT` of them, a flat reward alone.

    `history` need not hold more than the latest `LOOKED_AT` steps; `rewards` are the finite mean rewards of all.

    >>> [alarm.name for alarm in alarms([{"completions/clipped_ratio": 0.95}] * 6, [0.0] * 6)]
    ['reward_zero', 'clipped']
    >>> alarms([{"reward": 0.0}] * 2, [0.0] * 2)
    []
    """
    latest = history[-LOOKED_AT:]
    return [
        *_not_finite(latest),
        *_reward_zero(rewards),
        *_reward_low(rewards),
        *_clipped(latest),
        *_no_variance(latest),
        *_entropy(latest, rewards),
        *_grad_norm(latest),
        *_kl(latest),
    ]


def _recent(history: History, metric: str, before: int = 0) -> float | None:
    """The median of a metric's latest values, or of those `before` so many later ones; None where there are too few."""
    reach = history[max(0, len(history) - 2 * (RECENT + before)) :]  # a step without gradient has no entropy
    values = [value for row in reach if math.isfinite(value := row.get(metric, math.nan))]
    values = values[: len(values) - before][-RECENT:] if before else values[-RECENT:]
    return median(values) if len(values) == RECENT else None


def _not_finite(history: History) -> Iterator[Alarm]:
    """The latest step: three in a row end the run."""
    if history and not all(math.isfinite(history[-1].get(name, 0.0)) for name in ("loss", "grad_norm")):
        yield Alarm(
            "not_finite",
            "loss or gradient is not finite; the step was skipped",
            "a lower optim.learning_rate, or model.compute_dtype: float32",
        )


def _reward_zero(rewards: Sequence[float]) -> Iterator[Alarm]:
    flat_for = next((back for back, reward in enumerate(reversed(rewards)) if reward), len(rewards))
    if flat_for >= FLAT:
        yield Alarm(
            "reward_zero",
            f"every reward of the last {flat_for} steps is 0: nothing can be learnt from that",
            "read a sample and its gold; easier problems, a system_prompt that asks for the answer's form, "
            "a longer max_completion_length",
        )


def _reward_low(rewards: Sequence[float]) -> Iterator[Alarm]:
    if len(rewards) < START_STEPS or any(reward < 0 or reward > REWARD_LEAST for reward in rewards):
        return
    if best := max(rewards):
        yield Alarm(
            "reward_low",
            f"the mean reward has not passed {REWARD_LEAST:g} in {len(rewards)} steps; the best is {best:.3g}",
            "easier problems, more num_generations, or a larger model: too few completions are right to learn from",
        )


def _clipped(history: History) -> Iterator[Alarm]:
    share = _recent(history, "completions/clipped_ratio")
    if share is not None and share > CLIPPED_MOST:
        yield Alarm(
            "clipped",
            f"{share:.0%} of the completions are cut off before their answer",
            "a longer rollout.max_completion_length; or a reward for length: cosine, soft_overlong, length_l1_max",
        )


def _no_variance(history: History) -> Iterator[Alarm]:
    share = _recent(history, "frac_reward_zero_std")
    if share is None or share <= HEALTHY["frac_reward_zero_std"][1]:
        return
    words = f"in {share:.0%} of the groups all rewards are equal; they teach nothing"
    right = _recent(history, "rewards/accuracy/mean")
    if right is not None and right >= LEARNT:
        yield Alarm("no_variance", f"{words}: {right:.0%} is right already", "harder problems, or stop here and save")
    else:
        yield Alarm(
            "no_variance",
            words,
            "rollout.resample_zero_variance: 2, more num_generations, a higher temperature, or other problems",
        )


def _entropy(history: History, rewards: Sequence[float]) -> Iterator[Alarm]:
    low, high = HEALTHY["entropy"]
    entropy, earlier = _recent(history, "entropy"), _recent(history, "entropy", before=RECENT)
    if entropy is None:
        return
    if entropy < low and _reward_holds(rewards):
        if not _tells_apart(history):
            yield Alarm(
                "entropy_low",
                f"entropy is {entropy:.2g} nats, below {low:g}: it is sure of its ways and tries little else",
                "stop here if the reward has stopped rising; a higher rollout.temperature explores more",
            )
    elif entropy < low:
        yield Alarm(
            "entropy_low",
            f"entropy is {entropy:.2g} nats, below {low:g}, and the reward has fallen: completions become the same",
            "an earlier checkpoint, then a lower optim.learning_rate or grpo.epsilon_high: 0.28",
        )
    if entropy > high and not (earlier is not None and entropy < FALLING * earlier):
        yield Alarm(
            "entropy_high",
            f"entropy is {entropy:.2g} nats, above {high:g}, and not falling: completions are partly noise",
            "a lower rollout.temperature; if it goes on rising, a lower optim.learning_rate",
        )


def _reward_holds(rewards: Sequence[float]) -> bool:
    """Whether the reward is near the best that there was."""
    return len(rewards) >= RECENT and median(rewards[-RECENT:]) >= HOLDS * max(rewards)


def _tells_apart(history: History) -> bool:
    """Whether most groups hold completions of different reward: then there is variety enough to learn from."""
    equal = _recent(history, "frac_reward_zero_std")
    return equal is not None and equal < MOSTLY


def _grad_norm(history: History) -> Iterator[Alarm]:
    low, high = HEALTHY["grad_norm"]
    taken = [row for row in history if row.get("grad_norm", 0.0) != 0.0]  # 0: no group of that step taught anything
    norm = _recent(taken, "grad_norm")
    if norm is not None and norm < low:
        yield Alarm(
            "grad_norm_low",
            f"the gradient's norm is {norm:.2g}, below {low:g}: hardly anything is learnt",
            "more num_generations, rewards that tell completions apart, or stop here: it may have learnt all",
        )
    if norm is not None and norm > high:
        yield Alarm(
            "grad_norm_high",
            f"the gradient's norm is {norm:.2g}, above {high:g}, before clipping",
            "a lower optim.learning_rate, more prompts_per_step, or a longer warmup_ratio",
        )


def _kl(history: History) -> Iterator[Alarm]:
    kl = _recent(history, "kl")
    if kl is not None and kl > HEALTHY["kl"][1]:
        yield Alarm(
            "kl_high",
            f"KL to the base is {kl:.2g} nats, above {HEALTHY['kl'][1]:g}: the model runs away from what it knew",
            "a higher grpo.beta, or a lower optim.learning_rate",
        )
