"""Decoding from a DenseModel: four matrix products a layer and token, and two for attention.

Keys and values live in static buffers; a sequence writes at its own length, so any can share a
batch, leave it and enter it. Keys stand transposed, as the product with one query a head reads them: on a CPU that
takes half as long as the library's attention, which is made for many queries (bench/README.md).
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from tina_lite.policy.dense.attention import library_attention
from tina_lite.policy.dense.autograd_ops import normed, rotate
from tina_lite.policy.dense.cuda_graphs import SMALLEST_STEP, CudaGraphs, compiles_shapes, replayed_shape, rounded
from tina_lite.policy.dense.model import DenseModel
from tina_lite.policy.interface import Prefix
from tina_lite.policy.memory_request import ROWS_MULTIPLE


class DenseDecoder:
    """Is a Decoder over DenseModel."""

    def __init__(self, model: DenseModel, max_sequences: int, max_tokens: int) -> None:
        self._model = model
        heads, width = model.kv_heads, model.head_dim
        self._max_sequences, self._max_tokens = max_sequences, max_tokens
        self._few_shapes = compiles_shapes(model.device, model.dtype)
        self._keys = self._buffer(max_sequences, heads, width, max_tokens)
        self._values = self._buffer(max_sequences, heads, max_tokens, width)
        self._tokens, self._lengths = torch.zeros(2, max_sequences, dtype=torch.int64, device=model.device)
        self._alive = 0  # sequences; the others are idle, of length 0
        self._longest = 0  # no sequence is longer; known without a look at the device
        self._cuda_graphs = CudaGraphs() if model.device.type == "cuda" else None

    def _buffer(self, *shape: int) -> Tensor:
        """Zeros (layers, ...): what is not written yet must be finite, as its weight of 0 is multiplied with it."""
        model = self._model
        return torch.zeros((len(model.layers), *shape), dtype=model.dtype, device=model.device)

    @torch.no_grad()
    def prefill(self, prompts: Sequence[Sequence[int]]) -> list[Prefix]:
        lengths = [len(prompt) for prompt in prompts]
        # Padding on the right: causal attention keeps it from every real token.
        ids = torch.nn.utils.rnn.pad_sequence([torch.tensor(prompt) for prompt in prompts], batch_first=True)
        if self._few_shapes:
            ids = F.pad(ids, (0, rounded(ids.shape[1]) - ids.shape[1]))
        positions = torch.arange(ids.shape[1], device=self._model.device).expand(ids.shape).flatten()
        caches: list[Tensor] = []

        def attend(layer: int, query: Tensor, key_value: Tensor) -> Tensor:
            caches.append(key_value.unflatten(0, ids.shape))
            query = query.unflatten(0, ids.shape).transpose(1, 2)  # (B, heads, P, d)
            key, value = caches[-1].transpose(1, 2).chunk(2, dim=1)
            return library_attention(query, key, value).transpose(1, 2).flatten(0, 1)

        hidden = self._forward(ids.flatten().to(self._model.device), positions, attend)
        logits = self._logits(hidden.unflatten(0, ids.shape)[torch.arange(len(prompts)), torch.tensor(lengths) - 1])
        keys, values = torch.stack(caches).chunk(2, dim=3)  # (layers, B, P, kv heads, d)
        keys, values = keys.permute(0, 1, 3, 4, 2).contiguous(), values.transpose(2, 3).contiguous()
        return [
            Prefix(length, logits[sequence], (keys[:, sequence, :, :, :length], values[:, sequence, :, :length]))
            for sequence, length in enumerate(lengths)
        ]

    @torch.no_grad()
    def admit(self, prefixes: Sequence[Prefix]) -> None:
        for sequence, prefix in enumerate(prefixes, start=self._alive):
            self._keys[:, sequence, :, :, : prefix.length], self._values[:, sequence, :, : prefix.length] = prefix.cache
        lengths = torch.tensor([prefix.length for prefix in prefixes])
        self._lengths[self._alive : self._alive + len(prefixes)] = lengths
        self._alive += len(prefixes)
        self._longest = max(self._longest, *(prefix.length for prefix in prefixes))

    @torch.no_grad()
    def keep(self, sequences: Tensor) -> None:
        used = self._shape()[1]
        moved = (sequences != torch.arange(len(sequences), device=sequences.device)).nonzero()[:, 0]
        self._keys[:, moved, :, :, :used] = self._keys[:, sequences[moved], :, :, :used]
        self._values[:, moved, :, :used] = self._values[:, sequences[moved], :, :used]
        self._lengths[: len(sequences)] = self._lengths[sequences]
        self._lengths[len(sequences) :] = 0
        self._alive = len(sequences)

    @torch.no_grad()
    def step(self, tokens: Tensor) -> Tensor:
        self._tokens[: self._alive] = tokens
        self._longest += 1
        shape = self._shape()
        hidden = self._decode(*shape) if self._cuda_graphs is None else self._cuda_graphs.run(self._decode, *shape)
        self._lengths[: self._alive] += 1
        return self._logits(hidden[: self._alive])

    def _decode(self, sequences: int, used: int) -> Tensor:
        """Final hidden states (sequences, H) after the next token of each, from the first `used` tokens of the cache.

        Idle sequences overwrite their own.
        """
        at, kv_heads = self._lengths[:sequences], self._model.kv_heads
        everyone = torch.arange(sequences, device=at.device)
        hidden_keys = torch.arange(used, device=at.device) > at[:, None]  # (N, used)
        mask = torch.zeros(hidden_keys.shape, dtype=self._model.dtype, device=at.device)
        mask = mask.masked_fill_(hidden_keys, -torch.inf).repeat_interleave(kv_heads, 0)
        mask = mask[:, None]  # (N x kv heads, 1, used)

        def attend(layer: int, query: Tensor, key_value: Tensor) -> Tensor:
            key, value = key_value.chunk(2, dim=1)  # (N, kv heads, d)
            self._keys[layer, everyone, :, :, at] = key
            self._values[layer, everyone, :, at] = value
            keys = self._keys[layer, :sequences].flatten(0, 1)[:, :, :used]
            values = self._values[layer, :sequences].flatten(0, 1)[:, :used]
            # The query heads of a group share a key head: as rows of one product they need no copy of the cache.
            folded = query.unflatten(1, (kv_heads, -1)).flatten(0, 1)  # (N x kv heads, group, d)
            scores = torch.baddbmm(mask, folded, keys, alpha=self._model.head_dim**-0.5)
            return torch.bmm(scores.softmax(-1), values).view(query.shape)

        return self._forward(self._tokens[:sequences], at, attend)

    def _shape(self) -> tuple[int, int]:
        """Rows that are decoded, and tokens of the cache that are read: both in steps, for fewer shapes."""
        if self._cuda_graphs is not None:
            sequences, used = replayed_shape(self._alive, self._longest)
        else:
            sequences = _round_up(self._alive, ROWS_MULTIPLE)
            used = rounded(self._longest) if self._few_shapes else _round_up(self._longest, SMALLEST_STEP)
        return min(self._max_sequences, sequences), min(self._max_tokens, used)

    def _logits(self, hidden: Tensor) -> Tensor:
        return self._model.logits(hidden).float()

    def _forward(self, ids: Tensor, positions: Tensor, attend: Callable[[int, Tensor, Tensor], Tensor]) -> Tensor:
        """Final hidden states (M, H); `attend(layer, query, keys and values)` owns the cache, all (M, heads, d)."""
        model = self._model
        cos, sin = model.rotation(positions)
        hidden = F.embedding(ids, model.embedding).to(model.dtype)
        for index, layer in enumerate(model.layers):
            heads = layer.qkv(normed(hidden, layer.attention_norm, model.norm_epsilon)).unflatten(
                -1, (-1, model.head_dim)
            )
            heads = rotate(model.normed_heads(layer, heads, normed), cos, sin)
            mixed = attend(index, *heads.split((model.query_heads, 2 * model.kv_heads), dim=1))
            hidden = hidden + layer.out(mixed.flatten(1))
            gate, up = layer.gate_up(normed(hidden, layer.mlp_norm, model.norm_epsilon)).chunk(2, dim=-1)
            hidden = hidden + layer.down(F.silu(gate).mul_(up))
        return normed(hidden, model.final_norm, model.norm_epsilon)


def _round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
