"""The mathematics of GRPO as pure functions: advantages of a group, the loss of a batch of tokens.

Sources: DeepSeekMath (arXiv 2402.03300, section 4.1) for the group-relative advantage and the clipped surrogate;
Dr. GRPO (arXiv 2503.20783) and DAPO (arXiv 2503.14476) for the normalisations; Schulman's k3 for the KL term.
No I/O, no model.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from tina_lite.recipe.schema import GrpoSection

STD_EPSILON = 1e-4
"""Added to the standard deviation, as in the paper's code and TRL."""


def advantages(
    totals: Sequence[Sequence[float]], scale_rewards: str = "group", epsilon: float = STD_EPSILON
) -> list[tuple[float, ...]]:
    """Group-relative advantages: (r - mean) / (std + epsilon), the mean always over the group.

    `totals` holds the rewards of each group. The standard deviation is the sample's (n - 1, as torch.std and TRL
    have it), taken over the group ("group"), over all rewards of the step ("batch"), or left out ("none").

    >>> [round(a, 3) for a in advantages([[1.0, 0.0, 0.0, 1.0]])[0]]
    [0.866, -0.866, -0.866, 0.866]
    >>> advantages([[2.0, 2.0]])
    [(0.0, 0.0)]
    """
    step_std = stdev([reward for group in totals for reward in group]) if scale_rewards == "batch" else 0.0
    result = []
    for group in totals:
        # Equal rewards must give exactly 0, which rounding of the mean would spoil.
        if all(reward == group[0] for reward in group):
            result.append((0.0,) * len(group))
            continue
        mean = fmean(group)
        std = {"group": stdev(group), "batch": step_std}.get(scale_rewards)
        scale = 1.0 if std is None else 1.0 / (std + epsilon)
        result.append(tuple((reward - mean) * scale for reward in group))
    return result


@dataclass(frozen=True, slots=True)
class LossWeights:
    """How the token losses of one step add up to its loss; counts are of the whole step, not of a micro-batch.

    A row here is a completion that takes part in the loss: groups without variance count in the divisors though
    they take no forward pass, or skipping them would change the gradient.
    """

    loss_type: str
    rows: int
    """N, all completions of the step."""
    tokens: int
    """Completion tokens of all N rows that are not masked."""
    max_completion_length: int

    def per_token(self, row_tokens: "Tensor") -> "Tensor":
        """Weight of each token of a row, from the row's token count: (rows,) float."""
        if self.loss_type in ("grpo", "gspo"):  # mean over the row's tokens, then over rows
            return 1.0 / (row_tokens.clamp(min=1) * self.rows)
        if self.loss_type in ("bnpo", "dapo", "cispo"):  # mean over all tokens of the step
            return row_tokens.new_full(row_tokens.shape, 1.0 / max(self.tokens, 1))
        if self.loss_type == "dr_grpo":  # a constant, so that length is not rewarded
            return row_tokens.new_full(row_tokens.shape, 1.0 / (self.rows * self.max_completion_length))
        raise AssertionError(f"unknown loss type {self.loss_type}")


def token_losses(
    logprobs: "Tensor",
    old_logprobs: "Tensor",
    advantages: "Tensor",
    mask: "Tensor",
    settings: "GrpoSection",
    *,
    behaviour_logprobs: "Tensor | None" = None,
    reference_logprobs: "Tensor | None" = None,
) -> tuple["Tensor", "Tensor"]:
    """The policy loss of each token, and which tokens were clipped.

    -min(min(ratio, delta) A, clip(ratio, 1 - epsilon, 1 + epsilon_high) A) + beta k3, with ratio = exp(new - old);
    for cispo (MiniMax-M1, arXiv 2506.13585) -stop_gradient(min(ratio, epsilon_high)) A new; for gspo (arXiv
    2507.18071) the ratio is the geometric mean over the completion.

    Args:
        logprobs: (rows, T) float32, nats, with gradient.
        old_logprobs: (rows, T), of the policy before this rollout's first update; no gradient.
        advantages: (rows,).
        mask: (rows, T) bool, true at completion tokens.
        behaviour_logprobs: (rows, T), as the sampler had them; needed with tis_cap.
        reference_logprobs: (rows, T), of the base; needed where beta > 0.

    Returns:
        losses (rows, T) and clipped (rows, T) bool.
    """
    log_ratio = logprobs - old_logprobs
    if settings.loss_type == "gspo":
        mean = (log_ratio * mask).sum(-1, keepdim=True) / mask.sum(-1, keepdim=True).clamp(min=1)
        log_ratio = mean.expand_as(log_ratio)
    ratio, scale = log_ratio.exp(), advantages[:, None]
    if settings.loss_type == "cispo":
        largest = 5.0 if settings.epsilon_high is None else settings.epsilon_high
        losses = -ratio.clamp(max=largest).detach() * scale * logprobs
        clipped = (ratio > largest) & (scale > 0)
    else:
        losses, clipped = _clipped_surrogate(ratio, scale, settings)
    if settings.tis_cap is not None:
        assert behaviour_logprobs is not None, "tis_cap needs the sampler's log-probs"
        losses = losses * (old_logprobs - behaviour_logprobs).exp().clamp(max=settings.tis_cap)
    if settings.beta:
        assert reference_logprobs is not None, "beta > 0 needs the reference's log-probs"
        losses = losses + settings.beta * k3(logprobs, reference_logprobs)
    return losses, clipped


def _clipped_surrogate(ratio: "Tensor", scale: "Tensor", settings: "GrpoSection") -> tuple["Tensor", "Tensor"]:
    low = 1.0 - settings.epsilon
    high = 1.0 + (settings.epsilon if settings.epsilon_high is None else settings.epsilon_high)
    free = ratio if settings.delta is None else ratio.clamp(max=settings.delta)
    surrogate = (free * scale).minimum(ratio.clamp(low, high) * scale)
    return -surrogate, ((ratio < low) & (scale < 0)) | ((ratio > high) & (scale > 0))


def k3(logprobs: "Tensor", reference_logprobs: "Tensor") -> "Tensor":
    """Estimate KL(policy || reference) at each token, unbiased and non-negative: exp(d) - d - 1, d = ref - new."""
    difference = reference_logprobs - logprobs
    return difference.exp() - difference - 1.0


def learning_rate(progress: float, peak: float, scheduler: str, warmup_ratio: float, min_lr_ratio: float) -> float:
    """Warm up linearly to `peak`, then decay by a cosine, linearly or not at all to `min_lr_ratio` x peak.

    `progress` in 0..1 is the share of the horizon that is done once this step has run, so that the first step
    moves and the last one stands on the floor.

    >>> [round(learning_rate(p, 1.0, "cosine", 0.1, 0.1), 3) for p in (0.05, 0.1, 0.55, 1.0)]
    [0.5, 1.0, 0.55, 0.1]
    """
    progress = min(max(progress, 0.0), 1.0)
    if progress < warmup_ratio:
        return peak * progress / warmup_ratio
    if scheduler == "constant" or warmup_ratio >= 1.0:
        return peak
    done = (progress - warmup_ratio) / (1.0 - warmup_ratio)
    decay = 0.5 * (1.0 + math.cos(math.pi * done)) if scheduler == "cosine" else 1.0 - done
    return peak * (min_lr_ratio + (1.0 - min_lr_ratio) * decay)
