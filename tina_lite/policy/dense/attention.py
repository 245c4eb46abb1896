"""Attention for training: the library's, but on a CPU in bfloat16, where ours takes 0.4 of its time (bench/README.md).

The library's kernel is made for many keys and few rows of a group; a GRPO batch has few keys and many rows. Written
out as matrix products it runs at their rate. Scores are rounded to bfloat16 as in transformers' eager attention.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tina_lite.policy.memory_request import SCORES

HALF = (torch.float16, torch.bfloat16)
FLASH_CAPABILITY = (8, 0)
"""The first compute capability, and the dtypes, that a card's flash kernel is for."""


def attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    """Compute softmax(query key' / sqrt(d) + mask) value, differentiable in the first three.

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
    """Compute the softmax, (n x kv heads, group x T, S)."""
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


LARGEST_HEAD = 256
CLOSE = 0.05
"""Relative difference of two forms in 16 bits."""


def agree(ours: Iterable[Tensor], theirs: Iterable[Tensor], within: float = CLOSE) -> bool:
    """Whether each differs from its other by no more than such a share of it; what is not a number never agrees."""
    return all(bool((one - other).norm() <= within * other.norm()) for one, other in zip(ours, theirs, strict=True))


@dataclass(frozen=True, slots=True)
class Sharing:
    """Says which rows share which prompt; consecutive rows share one."""

    rows: tuple[int, ...]
    """Completions of each of B prompts; they add up to N."""
    prompt_lengths: tuple[int, ...]
    """Of each of B prompts, without padding."""


def can_flash(device: torch.device, dtype: torch.dtype, head_dim: int) -> bool:
    """Whether this form is the better one: on a card, in 16 bits, with heads that the kernel takes."""
    known = device.type == "cuda" and dtype in HALF and head_dim % 8 == 0 and head_dim <= LARGEST_HEAD
    return known and agrees_with_mask(device, dtype, head_dim)


@cache
def agrees_with_mask(device: torch.device, dtype: torch.dtype, head_dim: int) -> bool:
    """Tried once, as the kernels are called by names that torch does not promise: outputs and gradients."""
    sharing, owner = Sharing((2, 1), (3, 5)), torch.tensor([0, 0, 1])
    shapes = [(3, 4, 6, head_dim), (3, 2, 6, head_dim), (3, 2, 6, head_dim), (2, 2, 5, head_dim), (2, 2, 5, head_dim)]
    mask = mask_of(torch.tensor(sharing.prompt_lengths)[owner], 5, 6, dtype)
    generator = torch.Generator().manual_seed(0)
    drawn = [torch.randn(shape, generator=generator) for shape in shapes]
    try:
        masked = partial(masked_attention, prompt_of=owner.to(device), mask=mask.to(device))
        ours, theirs = (
            _with_gradients(form, [x.to(device, dtype, copy=True).requires_grad_() for x in drawn])
            for form in (partial(shared_prompt_attention, sharing=sharing), masked)
        )
    except (RuntimeError, AssertionError, TypeError, AttributeError):
        return False
    return agree(ours, theirs)


def _with_gradients(form: Callable[..., Tensor], inputs: list[Tensor]) -> list[Tensor]:
    out = form(*inputs)
    out.sum().backward()
    return [x.detach().float() for x in (out, *(one.grad for one in inputs))]  # type: ignore[union-attr]


def masked_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    prompt_key: Tensor,
    prompt_value: Tensor,
    prompt_of: Tensor,
    mask: Tensor,
) -> Tensor:
    """Compute what `shared_prompt_attention` does in one product under a mask.

    Args:
        prompt_of: (N,), the prompt of each row.
        mask: as `mask_of` gives it.
    """
    keys = torch.cat((prompt_key.index_select(0, prompt_of), key), dim=2)
    values = torch.cat((prompt_value.index_select(0, prompt_of), value), dim=2)
    return attention(query, keys, values, mask)


def mask_of(prompt_lengths: Tensor, prompt_width: int, width: int, dtype: torch.dtype) -> Tensor:
    """(1 or N, 1, width, prompt width + width): 0 where a completion's token sees a key, its prompt's and then its own.

    One for all rows where their prompts are of one length. `prompt_lengths`: (N,), of the prompt of each row.
    """
    own = torch.ones(width, width, dtype=torch.bool).tril()
    if bool((prompt_lengths == prompt_lengths[0]).all()):
        prompt_lengths = prompt_lengths[:1]
    prompt = torch.arange(prompt_width) < prompt_lengths[:, None, None]  # (rows, 1, P)
    shape = (len(prompt_lengths), width, -1)
    visible = torch.cat((prompt.expand(shape), own.expand(shape)), dim=-1)[:, None]
    return torch.zeros(visible.shape, dtype=dtype).masked_fill_(~visible, -torch.inf)


def shared_prompt_attention(
    query: Tensor, key: Tensor, value: Tensor, prompt_key: Tensor, prompt_value: Tensor, sharing: Sharing
) -> Tensor:
    """Compute softmax(query [prompt key, key]' / sqrt(d)) [prompt value, value], causal in its own part.

    Args:
        query: (N, heads, T, d), padded on the right.
        key, value: (N, kv heads, T, d); consecutive query heads share one of them.
        prompt_key, prompt_value: (B, kv heads, P, d), padded on the right.
    """
    out: Tensor = _SharedPrompt.apply(query, key, value, prompt_key, prompt_value, sharing)  # type: ignore[no-untyped-call]
    return out


class _SharedPrompt(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, *prompts: Any) -> Tensor:
        prompt_key, prompt_value, sharing = prompts
        groups = query.shape[1] // key.shape[1]
        own, own_lse, *others = _flash(query, _repeated(key, groups), _repeated(value, groups), causal=True)
        ctx.others = [others]  # that the kernel wants back
        seen, seen_lse = torch.empty_like(own), torch.empty_like(own_lse)
        for rows, prompt, length in _spans(sharing):
            keys, values = prompt_key[prompt, :, :length], prompt_value[prompt, :, :length]
            part, lse, *others = _flash(_folded(query[rows], groups), keys, values, causal=False)
            ctx.others.append(others)
            seen[rows], seen_lse[rows] = _unfolded(part, query[rows].shape), _unfolded(lse, query[rows].shape[:-1])
        lse = torch.logaddexp(own_lse, seen_lse)
        out: Tensor = (own * (own_lse - lse).exp()[..., None] + seen * (seen_lse - lse).exp()[..., None]).to(
            query.dtype
        )
        ctx.sharing = sharing
        ctx.save_for_backward(query, key, value, prompt_key, prompt_value, out, lse)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, prompt_key, prompt_value, out, lse = ctx.saved_tensors
        groups, d_out = query.shape[1] // key.shape[1], grads[0].contiguous()
        own = _repeated(key, groups), _repeated(value, groups)
        d_query, d_key, d_value = _flash_backward((d_out, query, *own, out, lse), ctx.others[0], causal=True)
        d_prompt_key, d_prompt_value = torch.zeros_like(prompt_key), torch.zeros_like(prompt_value)
        for (rows, prompt, length), others in zip(_spans(ctx.sharing), ctx.others[1:], strict=True):
            keys, values = prompt_key[prompt, :, :length], prompt_value[prompt, :, :length]
            d_part_out, part_query, part_out = (_folded(x[rows], groups) for x in (d_out, query, out))
            part_lse = _folded(lse[rows][..., None], groups)[..., 0]
            d_part, d_keys, d_values = _flash_backward(
                (d_part_out, part_query, keys, values, part_out, part_lse), others, causal=False
            )
            d_query[rows] += _unfolded(d_part, query[rows].shape)
            d_prompt_key[prompt, :, :length], d_prompt_value[prompt, :, :length] = d_keys, d_values
        return d_query, _summed(d_key, groups), _summed(d_value, groups), d_prompt_key, d_prompt_value, None


def _spans(sharing: Sharing) -> list[tuple[slice, slice, int]]:
    """Rows, place of the prompt, and its length."""
    spans, start = [], 0
    for place, (rows, length) in enumerate(zip(sharing.rows, sharing.prompt_lengths, strict=True)):
        spans.append((slice(start, start + rows), slice(place, place + 1), length))
        start += rows
    return spans


def _repeated(x: Tensor, groups: int) -> Tensor:
    """(N, kv heads, T, d) to (N, heads, T, d)."""
    return x.repeat_interleave(groups, 1) if groups > 1 else x


def _summed(x: Tensor, groups: int) -> Tensor:
    """The gradient of `_repeated`."""
    return x.unflatten(1, (-1, groups)).sum(2) if groups > 1 else x


def _folded(x: Tensor, groups: int) -> Tensor:
    """(n, heads, T, d) to (1, kv heads, n x group x T, d): all that asks one key head."""
    folded: Tensor = x.unflatten(1, (-1, groups)).permute(1, 0, 2, 3, 4).flatten(1, 3)[None].contiguous()
    return folded


def _unfolded(x: Tensor, shape: Sequence[int]) -> Tensor:
    """The way back, to (n, heads, T, ...)."""
    kv_heads, (rows, heads, width, *rest) = x.shape[1], shape
    unfolded: Tensor = x[0].reshape(kv_heads, rows, heads // kv_heads, width, *rest).transpose(0, 1).flatten(1, 2)
    return unfolded


def _flash(query: Tensor, key: Tensor, value: Tensor, causal: bool) -> tuple[Any, ...]:
    """Output (N, heads, T, d), log-sum-exp (N, heads, T) float32, and what else the backward pass of a card takes."""
    if query.device.type == "cuda":
        out, lse, *others = torch.ops.aten._scaled_dot_product_flash_attention(query, key, value, 0.0, causal)
        return out, lse, *others[:6]  # lengths of packed rows, of which there are none; widths; the state of dropout
    return tuple(torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(query, key, value, 0.0, causal))


def _flash_backward(given: Sequence[Tensor], others: Sequence[Any], causal: bool) -> tuple[Tensor, Tensor, Tensor]:
    """`given`: d_out, query, key, value, out, log-sum-exp."""
    if given[0].device.type == "cuda":
        *lengths, seed, offset = others
        found = torch.ops.aten._scaled_dot_product_flash_attention_backward(*given, *lengths, 0.0, causal, seed, offset)
    else:
        found = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(*given, 0.0, causal)
    d_query, d_key, d_value = found
    return d_query, d_key, d_value
