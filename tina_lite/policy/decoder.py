"""Decoding for models of Llama's shape (llama, mistral, qwen2, qwen3) from a dense merged copy of the weights.

The copy holds dequantised base + adapter with q-k-v and gate-up fused, so that a token step is four matrix products
a layer and nothing is dequantised twice. Keys and values live in one static buffer; a row writes at its own length,
so rows of any length share a batch, leave it and enter it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tina_lite.policy.interface import Prefix

ARCHITECTURES = frozenset({"llama", "mistral", "qwen2", "qwen3"})
GROWTH = 64
"""Tokens by which the cache's used length is rounded up, so that shapes change seldom."""


class _Layer:
    """One transformer layer, dense. `refresh` fills it from the modules it was made from."""

    def __init__(self, layer: Any, dense: Callable[[Any], Tensor], dtype: torch.dtype) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        self._parts = {
            "qkv": (attention.q_proj, attention.k_proj, attention.v_proj),
            "out": (attention.o_proj,),
            "gate_up": (mlp.gate_proj, mlp.up_proj),
            "down": (mlp.down_proj,),
        }
        self._dense = dense
        self.weights = {name: torch.cat([dense(m) for m in parts]).to(dtype) for name, parts in self._parts.items()}
        self.biases = {name: _fused_bias(parts, dtype) for name, parts in self._parts.items()}
        self.norms = (layer.input_layernorm, layer.post_attention_layernorm)
        self.query_norm = getattr(attention, "q_norm", None)
        self.key_norm = getattr(attention, "k_norm", None)

    def refresh(self) -> None:
        for name, parts in self._parts.items():
            row = 0
            for module in parts:
                weight = self._dense(module)
                self.weights[name][row : row + len(weight)] = weight
                row += len(weight)

    def linear(self, name: str, hidden: Tensor) -> Tensor:
        return F.linear(hidden, self.weights[name], self.biases[name])


def _fused_bias(modules: Sequence[Any], dtype: torch.dtype) -> Tensor | None:
    biases = [module.bias for module in modules]
    return None if biases[0] is None else torch.cat([bias.detach().to(dtype) for bias in biases])


class DenseWeights:
    """A dense, merged, fused copy of a model for sampling.

    `dense(module)` gives the current weight of a linear module, adapter included, as (out, in).
    """

    def __init__(self, model: Any, dense: Callable[[Any], Tensor], dtype: torch.dtype) -> None:
        config, inner = model.config, model.model
        self.layers = [_Layer(layer, dense, dtype) for layer in inner.layers]
        self.embedding = inner.embed_tokens.weight.detach()
        self.head = model.lm_head.weight.detach()
        self.final_norm = inner.norm
        self.rotary = inner.rotary_emb
        self.dtype = dtype
        self.query_heads = config.num_attention_heads
        self.kv_heads = config.num_key_value_heads
        self.head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads

    def refresh(self) -> None:
        """Bring the copy up to date with the adapter, in place."""
        for layer in self.layers:
            layer.refresh()

    def rotation(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """cos and sin of positions (N, T), each (N, 1, T, head_dim), by the model's own rotary embedding."""
        probe = torch.empty(0, dtype=torch.float32, device=positions.device)
        cos, sin = self.rotary(probe, positions)
        return cos[:, None].to(self.dtype), sin[:, None].to(self.dtype)


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    left, right = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-right, left), dim=-1) * sin


class DenseDecoder:
    """A Decoder over DenseWeights. Keys and values: (layers, rows, kv heads, capacity, head_dim)."""

    def __init__(self, weights: DenseWeights, max_rows: int, max_tokens: int) -> None:
        w = weights
        self._w = w
        shape = (len(w.layers), max_rows, w.kv_heads, max_tokens, w.head_dim)
        self._keys = torch.zeros(shape, dtype=w.dtype, device=w.head.device)
        self._values = torch.zeros_like(self._keys)
        self._lengths = torch.zeros(0, dtype=torch.int64, device=w.head.device)
        self._longest = 0  # no row is longer; known without a look at the device

    @torch.no_grad()
    def prefill(self, prompts: Sequence[Sequence[int]]) -> list[Prefix]:
        device = self._w.head.device
        lengths = [len(prompt) for prompt in prompts]
        # Padding on the right: causal attention keeps it from every real token.
        ids = torch.nn.utils.rnn.pad_sequence([torch.tensor(prompt) for prompt in prompts], batch_first=True)
        positions = torch.arange(ids.shape[1], device=device).expand(len(prompts), -1)
        keys: list[Tensor] = []
        values: list[Tensor] = []

        def attend(layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            keys.append(key)
            values.append(value)
            return F.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=True)

        hidden = self._forward(ids.to(device), positions, attend)
        last = hidden[torch.arange(len(prompts)), torch.tensor(lengths) - 1]
        logits = self._logits(last)
        all_keys, all_values = torch.stack(keys), torch.stack(values)  # (layers, B, kv heads, P, head_dim)
        return [
            Prefix(length, logits[row], (all_keys[:, row, :, :length], all_values[:, row, :, :length]))
            for row, length in enumerate(lengths)
        ]

    @torch.no_grad()
    def admit(self, prefixes: Sequence[Prefix]) -> None:
        for row, prefix in enumerate(prefixes, start=len(self._lengths)):
            keys, values = prefix.cache
            self._keys[:, row, :, : prefix.length] = keys
            self._values[:, row, :, : prefix.length] = values
        added = torch.tensor([prefix.length for prefix in prefixes], device=self._lengths.device)
        self._lengths = torch.cat((self._lengths, added))
        self._longest = max(self._longest, *(prefix.length for prefix in prefixes))

    @torch.no_grad()
    def keep(self, rows: Tensor) -> None:
        used = self._used()
        moved = (rows != torch.arange(len(rows), device=rows.device)).nonzero()[:, 0]
        for buffer in (self._keys, self._values):
            buffer[:, moved, :, :used] = buffer[:, rows[moved], :, :used]
        self._lengths = self._lengths[rows]

    @torch.no_grad()
    def step(self, tokens: Tensor) -> Tensor:
        rows, at = len(tokens), self._lengths
        self._longest += 1
        used = self._used()
        seen = torch.arange(used, device=at.device) <= at[:, None]  # (N, used)
        mask = torch.zeros(seen.shape, dtype=self._w.dtype, device=at.device).masked_fill_(~seen, -torch.inf)
        row_index = torch.arange(rows, device=at.device)
        kv_heads, group = self._w.kv_heads, self._w.query_heads // self._w.kv_heads

        def attend(layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            keys, values = self._keys[layer, :rows], self._values[layer, :rows]
            keys[row_index, :, at] = key[:, :, 0]
            values[row_index, :, at] = value[:, :, 0]
            # The heads of a group share keys: as "queries" of one kv head they need no copy of the cache.
            folded = query.view(rows, kv_heads, group, -1)
            out = F.scaled_dot_product_attention(folded, keys[:, :, :used], values[:, :, :used], mask[:, None, None])
            return out.view(rows, kv_heads * group, 1, -1)

        hidden = self._forward(tokens[:, None], at[:, None], attend)
        self._lengths = at + 1
        return self._logits(hidden[:, 0])

    def _used(self) -> int:
        return min(self._keys.shape[3], -(-self._longest // GROWTH) * GROWTH)

    def _logits(self, hidden: Tensor) -> Tensor:
        return F.linear(hidden.to(self._w.head.dtype), self._w.head).float()

    def _forward(
        self, ids: Tensor, positions: Tensor, attend: Callable[[int, Tensor, Tensor, Tensor], Tensor]
    ) -> Tensor:
        """Final hidden states (N, T, H); `attend(layer, query, key, value)` owns the cache, all (N, heads, T, d)."""
        w = self._w
        cos, sin = w.rotation(positions)
        sizes = (w.query_heads * w.head_dim, w.kv_heads * w.head_dim, w.kv_heads * w.head_dim)
        hidden = F.embedding(ids, w.embedding).to(w.dtype)
        for index, layer in enumerate(w.layers):
            fused = layer.linear("qkv", layer.norms[0](hidden))
            query, key, value = (part.unflatten(-1, (-1, w.head_dim)) for part in fused.split(sizes, dim=-1))
            if layer.query_norm is not None and layer.key_norm is not None:
                query, key = layer.query_norm(query), layer.key_norm(key)
            query, key, value = (part.transpose(1, 2) for part in (query, key, value))
            mixed = attend(index, _rotate(query, cos, sin), _rotate(key, cos, sin), value)
            hidden = hidden + layer.linear("out", mixed.transpose(1, 2).flatten(2))
            gate, up = layer.linear("gate_up", layer.norms[1](hidden)).chunk(2, dim=-1)
            hidden = hidden + layer.linear("down", F.silu(gate) * up)
        result: Tensor = w.final_norm(hidden)
        return result
