"""Log-probabilities of given tokens from hidden states, without ever holding a (rows, V) tensor for all rows.

d log p(target) / d hidden = ((onehot(target) - softmax) * cap') @ W scale / temperature, with cap' the slope of the
soft cap. It does not depend on what follows, so each chunk forms it in the forward pass while its logits are at hand:
the backward pass is one multiplication, and neither logits nor their gradient is ever whole. The head is frozen and
needs no gradient.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tina_lite.policy.dense.cuda_graphs import SMALLEST_STEP, compiles_shapes, rounded

DIVISORS = ("logits_scaling",)
"""Fields of a config by which logits are divided: granite."""
FACTORS = ("logit_scale", "lm_head_multiplier")
"""By which they are multiplied: cohere, falcon_h1."""


@dataclass(frozen=True, slots=True)
class Head:
    """A frozen output embedding, and what is done to its product."""

    weight: Tensor
    """(V, H)."""
    bias: Tensor | None = None
    """(V,)."""
    scale: float = 1.0
    softcap: float | None = None

    @classmethod
    def of(cls, causal_lm: Any) -> "Head":
        """Read a model's output embedding and its config."""
        config, module = causal_lm.config, causal_lm.get_output_embeddings()
        bias = getattr(module, "bias", None)
        scale = 1.0
        for name in DIVISORS:
            scale /= getattr(config, name, None) or 1.0
        for name in FACTORS:
            scale *= getattr(config, name, None) or 1.0
        softcap = getattr(config, "final_logit_softcapping", None)
        return cls(module.weight.detach(), None if bias is None else bias.detach(), float(scale), softcap or None)

    def logits(self, hidden: Tensor) -> tuple[Tensor, Tensor | None]:
        """Give logits (N, V) float32 of hidden states (N, H); and the slope of the soft cap there, None without one."""
        product = hidden @ self.weight.T
        logits = (product if self.bias is None else product + self.bias).float()
        if self.scale != 1.0:
            logits *= self.scale
        if self.softcap is None:
            return logits, None
        capped = (logits / self.softcap).tanh_()
        return capped * self.softcap, 1 - capped.square()


class _TokenLogprobs(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, head: Head, targets: Tensor, temperature: float, chunk: int
    ) -> tuple[Tensor, Tensor]:
        logprobs = torch.empty(len(hidden), dtype=torch.float32, device=hidden.device)
        entropies = torch.empty_like(logprobs)
        slope = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        for start in range(0, len(hidden), chunk):
            piece = slice(start, start + chunk)
            logits, bend = head.logits(hidden[piece])  # (chunk, V)
            logits /= temperature
            logits -= logits.amax(-1, keepdim=True)
            weights = logits.exp()
            total = weights.sum(-1)
            logprobs[piece] = logits.gather(1, targets[piece, None])[:, 0] - total.log()
            if slope is not None:
                bent = weights if bend is None else weights * bend
                mean = (bent.to(head.weight.dtype) @ head.weight).div_(total[:, None])
                own = head.weight[targets[piece]]
                if bend is not None:
                    own = own * bend.gather(1, targets[piece, None]).to(own.dtype)
                slope[piece] = (own - mean).mul_(head.scale / temperature)
            entropies[piece] = total.log() - weights.mul_(logits).sum(-1) / total
        if slope is not None:
            ctx.save_for_backward(slope)
        ctx.mark_non_differentiable(entropies)
        return logprobs, entropies

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None, None]:
        (slope,) = ctx.saved_tensors
        return slope * grads[0][:, None].to(slope.dtype), None, None, None, None


def token_logprobs(
    hidden: Tensor, head: Head, targets: Tensor, temperature: float, chunk_elements: int
) -> tuple[Tensor, Tensor]:
    """Log-prob of each target and entropy of each distribution softmax(logits / temperature).

    Args:
        hidden: (M, H) final hidden states.
        head: frozen, (V, H), with what the architecture does to its product.
        targets: (M,) int64.
        chunk_elements: logits held at once; at least one row's.

    Returns:
        logprobs (M,) float32 in nats, differentiable in `hidden`; entropies (M,) float32, without gradient.
    """
    rows, chunk = len(hidden), max(1, chunk_elements // head.weight.shape[0])
    if compiles_shapes(hidden.device, hidden.dtype):
        idle = rounded(rows) - rows
        hidden, targets = F.pad(hidden, (0, 0, 0, idle)), F.pad(targets, (0, idle))
        chunk = max(SMALLEST_STEP, chunk - chunk % SMALLEST_STEP)
    logprobs, entropies = _TokenLogprobs.apply(hidden, head, targets, temperature, chunk)  # type: ignore[no-untyped-call]
    return logprobs[:rows], entropies[:rows]
