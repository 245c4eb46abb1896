"""Attention of completions to the prompt that they share and to themselves, in two products without a mask.

The prompt's part is not causal, the completion's own is, so that flash kernels take both; the two are merged by their
log-sum-exp (online softmax, arXiv 2205.14135). A mask of (rows, 1, T, P + T) would send a card to the kernel that holds
all scores. In the backward pass each part is given the merged output and log-sum-exp, as P = exp(S - lse) and
rowsum(dO O) are those of the whole softmax (ring attention, arXiv 2310.01889).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from tina_lite.policy.attention import HALF, attention

LARGEST_HEAD = 256
CLOSE = 0.05
"""Relative difference of two forms in 16 bits."""


@dataclass(frozen=True, slots=True)
class Sharing:
    """Which rows share which prompt; consecutive rows share one."""

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
    return all((one - other).norm() <= CLOSE * other.norm() for one, other in zip(ours, theirs, strict=True))


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
    """The same as `shared_prompt_attention` in one product under a mask.

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
    """softmax(query [prompt key, key]' / sqrt(d)) [prompt value, value], causal in its own part, (N, heads, T, d).

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
