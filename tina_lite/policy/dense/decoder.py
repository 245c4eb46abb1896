"""Decoding from a DenseModel: four matrix products a layer and token, and attention to what the cache holds."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from tina_lite.policy.dense.attention import library_attention
from tina_lite.policy.dense.autograd_ops import normed
from tina_lite.policy.dense.cache import Attend, make_cache
from tina_lite.policy.dense.cuda_graphs import SMALLEST_STEP, CudaGraphs, compiles_shapes, replayed_shape, rounded
from tina_lite.policy.dense.model import DenseModel
from tina_lite.policy.interface import Prefix
from tina_lite.policy.memory_request import ROWS_MULTIPLE


class DenseDecoder:
    """Is a Decoder over DenseModel.

    A sequence has a row of its own in cache and buffers, so any can share a batch, leave it and enter it.
    """

    def __init__(self, model: DenseModel, max_sequences: int, max_tokens: int) -> None:
        self._model = model
        self._max_sequences, self._max_tokens = max_sequences, max_tokens
        self._few_shapes = compiles_shapes(model.device, model.dtype)
        like = torch.empty(0, dtype=model.dtype, device=model.device)
        self._cache = make_cache(len(model.layers), model.kv_heads, model.head_dim, max_sequences, max_tokens, like)
        self._tokens, self._lengths = torch.zeros(2, max_sequences, dtype=torch.int64, device=model.device)
        self._known_lengths: list[int] = []  # the same without a look at the device; other rows are idle, of length 0
        self._cuda_graphs = CudaGraphs() if model.device.type == "cuda" else None

    @torch.no_grad()
    def prefill(self, prompts: Sequence[Sequence[int]]) -> list[Prefix]:
        lengths = [len(prompt) for prompt in prompts]
        # Padding on the right: causal attention keeps it from every real token.
        ids = torch.nn.utils.rnn.pad_sequence([torch.tensor(prompt) for prompt in prompts], batch_first=True)
        if self._few_shapes:
            ids = F.pad(ids, (0, rounded(ids.shape[1]) - ids.shape[1]))
        positions = torch.arange(ids.shape[1], device=self._model.device).expand(ids.shape).flatten()
        key_values: list[Tensor] = []

        def attend(layer: int, query: Tensor, key_value: Tensor) -> Tensor:
            key_values.append(key_value.unflatten(0, ids.shape))
            query = query.unflatten(0, ids.shape).transpose(1, 2)  # (B, heads, P, d)
            key, value = key_values[-1].transpose(1, 2).chunk(2, dim=1)
            return library_attention(query, key, value).transpose(1, 2).flatten(0, 1)

        hidden = self._forward(ids.flatten().to(self._model.device), positions, attend)
        logits = self._logits(hidden.unflatten(0, ids.shape)[torch.arange(len(prompts)), torch.tensor(lengths) - 1])
        cached = self._cache.of_prompts(key_values, lengths)
        return [Prefix(*prompt) for prompt in zip(lengths, logits, cached, strict=True)]

    @torch.no_grad()
    def admit(self, prefixes: Sequence[Prefix]) -> None:
        alive = len(self._known_lengths)
        for sequence, prefix in enumerate(prefixes, start=alive):
            self._cache.write(sequence, prefix.cache, prefix.length)
        lengths = [prefix.length for prefix in prefixes]
        self._lengths[alive : alive + len(lengths)] = torch.tensor(lengths)
        self._known_lengths += lengths

    @torch.no_grad()
    def keep(self, sequences: Tensor) -> None:
        order = sequences.tolist()
        moved = [place for place, sequence in enumerate(order) if place != sequence]
        if moved:
            self._cache.move(moved, [order[place] for place in moved], max(self._known_lengths))
        self._lengths[: len(order)] = self._lengths[sequences]
        self._lengths[len(order) :] = 0
        self._known_lengths = [self._known_lengths[sequence] for sequence in order]

    @torch.no_grad()
    def step(self, tokens: Tensor) -> Tensor:
        alive = len(self._known_lengths)
        self._tokens[:alive] = tokens
        self._known_lengths = [length + 1 for length in self._known_lengths]
        shape = self._shape()
        hidden = self._decode(*shape) if self._cuda_graphs is None else self._cuda_graphs.run(self._decode, *shape)
        self._lengths[:alive] += 1
        return self._logits(hidden[:alive])

    def _decode(self, sequences: int, used: int) -> Tensor:
        """Final hidden states (sequences, H) after the next token of each, from the first `used` tokens of the cache.

        Idle sequences overwrite their own.
        """
        at = self._lengths[:sequences]
        return self._forward(self._tokens[:sequences], at, self._cache.attention(at, used))

    def _shape(self) -> tuple[int, int]:
        """Rows that are decoded, and tokens of the cache that are read: both in steps, for fewer shapes."""
        alive, longest = len(self._known_lengths), max(self._known_lengths, default=0)
        if self._cuda_graphs is not None:
            sequences, used = replayed_shape(alive, longest)
        else:
            sequences = _round_up(alive, ROWS_MULTIPLE)
            used = rounded(longest) if self._few_shapes else _round_up(longest, SMALLEST_STEP)
        if self._cache.reads_own_length:
            used = self._max_tokens
        return min(self._max_sequences, sequences), min(self._max_tokens, used)

    def _logits(self, hidden: Tensor) -> Tensor:
        return self._model.logits(hidden).float()

    def _forward(self, ids: Tensor, positions: Tensor, attend: Attend) -> Tensor:
        """Final hidden states (M, H) of tokens at these positions."""
        model = self._model
        between = model.between
        cos, sin = model.rotation(positions)
        hidden = F.embedding(ids, model.embedding).to(model.dtype)
        x = normed(hidden, model.layers[0].attention_norm, model.norm_epsilon)
        norms = [*(layer.attention_norm for layer in model.layers[1:]), model.final_norm]
        for index, (layer, next_norm) in enumerate(zip(model.layers, norms, strict=True)):
            heads = model.normed_heads(layer, layer.qkv(x).unflatten(-1, (-1, model.head_dim)), normed)
            heads = between.rotate(heads, cos, sin)
            mixed = attend(index, *heads.split((model.query_heads, 2 * model.kv_heads), dim=1))
            out = layer.out.addends(mixed.flatten(1))
            hidden, x = between.add_and_norm(hidden, out, layer.mlp_norm, model.norm_epsilon)
            gated = between.gate(layer.gate_up.addends(x), model.dtype)
            hidden, x = between.add_and_norm(hidden, layer.down.addends(gated), next_norm, model.norm_epsilon)
        return x


def _round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
