"""Log-probabilities of given tokens from hidden states, without ever holding a (rows, V) tensor for all rows.

d log p(target) / d hidden = ((onehot(target) - softmax) * cap') @ W scale / temperature, with cap' the slope of the
soft cap. It does not depend on what follows, so each chunk forms it in the forward pass while its logits are at hand:
the backward pass is one multiplication, and neither logits nor their gradient is ever whole. The head is frozen and
needs no gradient.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tina_lite.policy.head import Head
from tina_lite.policy.shapes import SMALLEST_STEP, compiles_shapes, rounded


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
