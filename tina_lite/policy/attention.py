"""Attention for training: the library's, but on a CPU in bfloat16, where ours takes 0.4 of its time (bench/README.md).

The library's kernel is made for many keys and few rows of a group; a GRPO batch has few keys and many rows. Written
out as matrix products it runs at their rate. Scores are rounded to bfloat16 as in transformers' eager attention.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tina_lite.policy.parts import SCORES

HALF = (torch.float16, torch.bfloat16)
FLASH_CAPABILITY = (8, 0)
"""The first compute capability, and the dtypes, that a card's flash kernel is for."""


def attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    """softmax(query key' / sqrt(d) + mask) value, differentiable in the first three.

    Args:
        query: (N, heads, T, d).
        key, value: (N, kv heads, S, d); consecutive query heads share one of them.
        mask: (1 or N, 1, T, S), 0 or -inf, added to the scores; None: causal, with T = S.
    """
    if query.device.type == "cpu" and query.dtype == torch.bfloat16:
        if mask is None:
            mask = torch.full((1, 1, *query.shape[2:3] * 2), -torch.inf, dtype=query.dtype).triu(1)
        out: Tensor = _Attention.apply(query, key, value, mask)  # type: ignore[no-untyped-call]
        return out
    return library_attention(query, key, value, mask)


def library_attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    """torch's own, by a kernel that never holds all scores: on a card only its flash kernel knows groups of heads."""
    if query.device.type == "cuda" and not (mask is None and _can_flash(query)):
        key, value = (x.repeat_interleave(query.shape[1] // x.shape[1], 1) for x in (key, value))
    grouped = key.shape[1] != query.shape[1]
    return F.scaled_dot_product_attention(query, key, value, mask, is_causal=mask is None, enable_gqa=grouped)


def _can_flash(query: Tensor) -> bool:
    return query.dtype in HALF and torch.cuda.get_device_capability(query.device) >= FLASH_CAPABILITY


class _Attention(torch.autograd.Function):
    """With P the softmax: dV = P' dO, dP = dO V', dS = P (dP - rowsum(P dP)); P is computed again, not kept."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
        ctx.save_for_backward(query, key, value, mask)
        outs = [
            torch.bmm(_weights(q, k, m), v).view(m.shape[0], -1, *query.shape[2:])
            for q, k, v, m in _pieces(query, key, value, mask)
        ]
        return torch.cat(outs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        query, key, value, mask = ctx.saved_tensors
        pieces = zip(_pieces(query, key, value, mask), _pieces(grads[0], key, value, mask), strict=True)
        parts = [_backward(q, k, v, m, d_out) for (q, k, v, m), (d_out, *_) in pieces]
        dq, dk, dv = (torch.cat(part) for part in zip(*parts))
        return dq.view(query.shape), dk.view(key.shape), dv.view(value.shape), None


def _pieces(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Some rows at a time: (n x kv heads, group x T, d), keys and values (n x kv heads, S, d), mask (n, 1, T, S)."""
    rows, heads, width, size = query.shape
    kv_heads = key.shape[1]
    at_once = max(1, SCORES // (heads * width * key.shape[2]))
    mask = mask.expand(rows, -1, -1, -1)
    for start in range(0, rows, at_once):
        piece = slice(start, start + at_once)
        folded = query[piece].reshape(-1, heads // kv_heads * width, size)
        yield folded, key[piece].reshape(-1, *key.shape[2:]), value[piece].reshape(-1, *value.shape[2:]), mask[piece]


def _weights(query: Tensor, key: Tensor, mask: Tensor) -> Tensor:
    """(n x kv heads, group x T, S)"""
    nothing = query.new_zeros(1, 1, 1)
    scores = torch.baddbmm(nothing, query, key.transpose(1, 2), beta=0, alpha=query.shape[-1] ** -0.5)
    scores.view(len(mask), -1, *mask.shape[2:]).add_(mask)
    return scores.softmax(-1)


def _backward(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, d_out: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    weights, scale = _weights(query, key, mask), query.shape[-1] ** -0.5
    d_weights = torch.bmm(d_out, value.transpose(1, 2))
    d_scores = torch.ops.aten._softmax_backward_data(d_weights, weights, -1, weights.dtype)
    d_query = torch.bmm(d_scores, key).mul_(scale)
    d_key = torch.bmm(d_scores.transpose(1, 2), query).mul_(scale)
    return d_query, d_key, torch.bmm(weights.transpose(1, 2), d_out)
