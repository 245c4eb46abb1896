"""Decoding from a DenseModel: four matrix products a layer and token.

Keys and values live in one static buffer; a row writes at its own length, so rows of any length share a batch, leave
it and enter it.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from tina_lite.policy.dense import DenseModel
from tina_lite.policy.functions import normed, rotate
from tina_lite.policy.interface import Prefix

ROWS_MULTIPLE = 8
"""A batch is filled up with idle rows to a multiple of this: a CPU compiles a kernel for each new shape, which costs
more than a few idle rows do."""
GROWTH = 16
"""Tokens by which the cache's used length is rounded up, for the same reason."""


class DenseDecoder:
    """A Decoder over DenseModel."""

    def __init__(self, model: DenseModel, max_rows: int, max_tokens: int) -> None:
        self._model = model
        shape = (len(model.layers), _round_up(max_rows, ROWS_MULTIPLE), max_tokens, 2 * model.kv_heads, model.head_dim)
        self._cache = torch.zeros(shape, dtype=model.dtype, device=model.device)  # keys, then values, of each token
        self._lengths = torch.zeros(0, dtype=torch.int64, device=model.device)
        self._longest = 0  # no row is longer; known without a look at the device

    @torch.no_grad()
    def prefill(self, prompts: Sequence[Sequence[int]]) -> list[Prefix]:
        lengths = [len(prompt) for prompt in prompts]
        # Padding on the right: causal attention keeps it from every real token.
        ids = torch.nn.utils.rnn.pad_sequence([torch.tensor(prompt) for prompt in prompts], batch_first=True)
        positions = torch.arange(ids.shape[1], device=self._model.device).expand(ids.shape).flatten()
        caches: list[Tensor] = []

        def attend(layer: int, query: Tensor, key_value: Tensor) -> Tensor:
            caches.append(key_value.unflatten(0, ids.shape))
            query = query.unflatten(0, ids.shape).transpose(1, 2)  # (B, heads, P, d)
            key, value = caches[-1].transpose(1, 2).chunk(2, dim=1)
            out = F.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=True)
            return out.transpose(1, 2).flatten(0, 1)

        hidden = self._forward(ids.flatten().to(self._model.device), positions, attend)
        logits = self._logits(hidden.unflatten(0, ids.shape)[torch.arange(len(prompts)), torch.tensor(lengths) - 1])
        cache = torch.stack(caches)  # (layers, B, P, 2 kv heads, d)
        return [Prefix(length, logits[row], cache[:, row, :length]) for row, length in enumerate(lengths)]

    @torch.no_grad()
    def admit(self, prefixes: Sequence[Prefix]) -> None:
        for row, prefix in enumerate(prefixes, start=len(self._lengths)):
            self._cache[:, row, : prefix.length] = prefix.cache
        added = torch.tensor([prefix.length for prefix in prefixes], device=self._lengths.device)
        self._lengths = torch.cat((self._lengths, added))
        self._longest = max(self._longest, *(prefix.length for prefix in prefixes))

    @torch.no_grad()
    def keep(self, rows: Tensor) -> None:
        used = self._used()
        moved = (rows != torch.arange(len(rows), device=rows.device)).nonzero()[:, 0]
        self._cache[:, moved, :used] = self._cache[:, rows[moved], :used]
        self._lengths = self._lengths[rows]

    @torch.no_grad()
    def step(self, tokens: Tensor) -> Tensor:
        alive, kv_heads = len(tokens), self._model.kv_heads
        rows = _round_up(alive, ROWS_MULTIPLE)
        at, tokens = (F.pad(x, (0, rows - alive)) for x in (self._lengths, tokens))  # idle rows overwrite their own
        self._longest += 1
        used = self._used()
        seen = torch.arange(used, device=at.device) <= at[:, None]  # (N, used)
        mask = torch.zeros(seen.shape, dtype=self._model.dtype, device=at.device).masked_fill_(~seen, -torch.inf)
        places = torch.arange(rows, device=at.device) * self._cache.shape[2] + at  # of the new tokens, rows laid flat

        def attend(layer: int, query: Tensor, key_value: Tensor) -> Tensor:
            self._cache[layer].flatten(0, 1).index_copy_(0, places, key_value)
            keys, values = self._cache[layer, :rows, :used].transpose(1, 2).chunk(2, dim=1)  # (N, kv heads, used, d)
            # The heads of a group share keys: as "queries" of one kv head they need no copy of the cache.
            folded = query.unflatten(1, (kv_heads, -1))
            return F.scaled_dot_product_attention(folded, keys, values, mask[:, None, None]).flatten(1, 2)

        hidden = self._forward(tokens, at, attend)
        self._lengths = self._lengths + 1
        return self._logits(hidden)[:alive]

    def _used(self) -> int:
        return min(self._cache.shape[2], _round_up(self._longest, GROWTH))

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
