"""The training forward pass of a DenseModel: no padding but in attention, and the prompt of a group computed once.

All tokens of a batch stand packed in one dimension M: first the prompts, each once, then the completions without
their last tokens, which predict nothing, then idle ones where sizes are rounded up (cuda_graphs.py). Only attention
needs rows: a completion looks at its prompt's keys and, back from itself, at its own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from tina_lite.policy.dense.attention import Sharing, attention, mask_of, masked_attention, shared_prompt_attention
from tina_lite.policy.dense.autograd_ops import adapted_linear, pad, rms_norm, rotary, swiglu
from tina_lite.policy.dense.cuda_graphs import rounded
from tina_lite.policy.dense.model import DenseLayer, DenseModel
from tina_lite.policy.interface import TokenBatch
from tina_lite.util.stateful import Activations


@dataclass(frozen=True, slots=True)
class _Rows:
    """How packed tokens stand in padded rows."""

    shape: tuple[int, int]
    """(rows, width)"""
    places: Tensor
    """(rows x width,), the packed token at each place; 0 in the padding."""
    real: Tensor
    """(tokens,), the place of each packed token."""

    @classmethod
    def of(cls, lengths: Tensor, width: int, device: torch.device) -> "_Rows":
        real = (torch.arange(width) < lengths[:, None]).flatten().nonzero()[:, 0]
        places = torch.zeros(len(lengths) * width, dtype=torch.int64)
        places[real] = torch.arange(len(real))
        return cls((len(lengths), width), places.to(device), real.to(device))

    def pad(self, packed: Tensor) -> Tensor:
        """(tokens, heads, d) to (rows, heads, width, d)."""
        padded: Tensor = pad(packed, self.places, self.real).unflatten(0, self.shape).transpose(1, 2)
        return padded

    def pack(self, padded: Tensor) -> Tensor:
        """(rows, heads, width, d) to (tokens, heads, d)."""
        packed: Tensor = padded.transpose(1, 2).flatten(0, 1).index_select(0, self.real)
        return packed


@dataclass(frozen=True, slots=True)
class Layout:
    """Lays a TokenBatch out as packed tokens."""

    ids: Tensor
    """(M,)"""
    positions: Tensor
    """(M,), counted from the start of the prompt."""
    prompts: _Rows
    completions: _Rows | None
    """Without their last tokens; None where none has more than one."""
    prompt_of: Tensor
    """(N,), the prompt of each completion."""
    sharing: Sharing
    """Which completions share which prompt."""
    mask: Tensor | None
    """(1 or N, 1, T - 1, P + T - 1), 0 or -inf: which keys a completion's token sees; one for all layers. None where
    attention does without."""
    predicting: Tensor
    """(K,), the packed token before each completion token, in the order of the rows."""
    targets: Tensor
    """(K,), the completion tokens themselves."""

    @classmethod
    def of(
        cls,
        batch: TokenBatch,
        device: torch.device,
        mask_dtype: torch.dtype | None,
        few_shapes: bool = False,
    ) -> "Layout":
        """Lay out a batch on a device.

        Args:
            mask_dtype: None where attention does without a mask.
            few_shapes: numbers of tokens are rounded up.
        """
        size = rounded if few_shapes else int
        owners = torch.tensor([index for index, group in enumerate(batch.completions) for _ in group])
        prompt_lengths = torch.tensor([len(prompt) for prompt in batch.prompts])
        completions = [completion for _, completion in batch.sequences]
        read = batch.completion_lengths() - 1
        starts = prompt_lengths.sum() + read.cumsum(0) - read  # where each completion begins in M
        lasts = prompt_lengths.cumsum(0)[owners] - 1  # the prompt token before each completion
        tokens = int(prompt_lengths.sum() + read.sum())
        idle = size(tokens) - tokens
        prompt_width, width = size(int(prompt_lengths.max())), size(int(read.max()))
        ids = [*batch.prompts, *(completion[:-1] for completion in completions), [0] * idle]
        begins = torch.cat((torch.zeros_like(prompt_lengths), prompt_lengths[owners]))
        lengths = torch.cat((prompt_lengths, read))
        predicting = [
            torch.cat((last[None], torch.arange(int(start), int(start + length))))
            for last, start, length in zip(lasts, starts, read, strict=True)
        ]
        return cls(
            ids=torch.tensor([token for row in ids for token in row]).to(device),
            positions=F.pad(
                torch.cat([torch.arange(length) + begin for begin, length in zip(begins, lengths.tolist())]), (0, idle)
            ).to(device),
            prompts=_Rows.of(prompt_lengths, prompt_width, device),
            completions=_Rows.of(read, width, device) if read.any() else None,
            prompt_of=owners.to(device),
            sharing=Sharing(tuple(map(len, batch.completions)), tuple(map(len, batch.prompts))),
            mask=None
            if mask_dtype is None
            else mask_of(prompt_lengths[owners], prompt_width, width, mask_dtype).to(device),
            predicting=torch.cat(predicting).to(device),
            targets=torch.tensor([token for completion in completions for token in completion]).to(device),
        )


def final_hidden(
    model: DenseModel, layout: Layout, *, adapter: bool = True, dropout: bool = False, keep: Activations = "stored"
) -> Tensor:
    """Final hidden states (M, H) of packed tokens; `keep` says what of each layer the backward pass finds."""
    cos, sin = model.rotation(layout.positions)
    hidden = F.embedding(layout.ids, model.embedding).to(model.dtype)
    for layer in model.layers:
        run = partial(_layer, model, layer, cos=cos, sin=sin, layout=layout, adapter=adapter, dropout=dropout)
        hidden = run(hidden) if keep == "stored" else _computed_twice(run, hidden, keep)
    return rms_norm(hidden, model.final_norm, model.norm_epsilon)


def _computed_twice(run: Callable[[Tensor], Tensor], hidden: Tensor, keep: Activations) -> Tensor:
    """A layer of which the input alone is kept, on the device or in main memory."""
    out: Tensor
    if keep == "recomputed":
        out = checkpoint(run, hidden, use_reentrant=False)
        return out
    # Only what the reentrant form saves goes through hooks, and it differentiates nothing without an input that asks.
    hidden = hidden if hidden.requires_grad else hidden.detach().requires_grad_()
    with torch.autograd.graph.save_on_cpu(pin_memory=hidden.device.type == "cuda"):
        out = checkpoint(run, hidden, use_reentrant=True)
    return out


def _layer(
    model: DenseModel,
    layer: DenseLayer,
    hidden: Tensor,
    *,
    cos: Tensor,
    sin: Tensor,
    layout: Layout,
    adapter: bool,
    dropout: bool,
) -> Tensor:
    """One layer on packed tokens, (M, H) to (M, H)."""

    def linear(x: Tensor, name: str) -> Tensor:
        half_sums = model.half_sums
        return adapted_linear(x, getattr(layer, name), adapter=adapter, dropout=dropout, half_sums=half_sums)

    normed = rms_norm(hidden, layer.attention_norm, model.norm_epsilon)
    heads = linear(normed, "qkv").unflatten(-1, (-1, model.head_dim))
    heads = rotary(model.normed_heads(layer, heads, rms_norm), cos, sin)
    hidden = hidden + linear(_attend(model, heads, layout).flatten(1), "out")
    gate_up = linear(rms_norm(hidden, layer.mlp_norm, model.norm_epsilon), "gate_up")
    return hidden + linear(swiglu(gate_up), "down")


def _attend(model: DenseModel, heads: Tensor, layout: Layout) -> Tensor:
    """Packed query, key and value heads (M, heads, d) to packed outputs (M, query heads, d)."""
    split = (model.query_heads, model.kv_heads, model.kv_heads)
    prompt_tokens = len(layout.prompts.real)
    query, key, value = layout.prompts.pad(heads[:prompt_tokens]).split(split, dim=1)
    outs = [layout.prompts.pack(attention(query, key, value))]
    if layout.completions is not None:
        tokens = prompt_tokens + len(layout.completions.real)
        own_query, own_key, own_value = layout.completions.pad(heads[prompt_tokens:tokens]).split(split, dim=1)
        if layout.mask is None:
            own = shared_prompt_attention(own_query, own_key, own_value, key, value, layout.sharing)
        else:
            own = masked_attention(own_query, own_key, own_value, key, value, layout.prompt_of, layout.mask)
        outs.append(layout.completions.pack(own))
    if idle := len(heads) - sum(map(len, outs)):
        outs.append(heads.new_zeros(idle, *outs[0].shape[1:]))
    return torch.cat(outs)
