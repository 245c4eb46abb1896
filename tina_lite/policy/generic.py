"""Any causal model of transformers, over its own forward pass and cache: the 4-bit base with the adapter.

Rows are aligned on the right, so that the model's cache, which grows by one column a step, serves rows of any age.
Slower than a dense copy (decoder.py), and free of any knowledge of the architecture.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from tina_lite.policy.interface import Prefix, TokenBatch


class CachedDecoder:
    """A Decoder over `model(...)` with past_key_values; keys and values a layer: (rows, heads, columns, d)."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._cache: list[tuple[Tensor, Tensor]] = []
        self._seen = torch.zeros(0, 0, dtype=torch.int64, device=model.device)  # (rows, columns), 1 where real

    @torch.no_grad()
    def prefill(self, prompts: Sequence[Sequence[int]]) -> list[Prefix]:
        return [self._read(prompt) for prompt in prompts]

    def _read(self, prompt: Sequence[int]) -> Prefix:
        out = self._model(input_ids=torch.tensor([prompt], device=self._model.device), use_cache=True)
        return Prefix(len(prompt), out.logits[0, -1].float(), _layers(out.past_key_values))

    @torch.no_grad()
    def admit(self, prefixes: Sequence[Prefix]) -> None:
        for prefix in prefixes:
            columns = max(self._seen.shape[1], prefix.length)
            added = torch.zeros(1, columns, dtype=torch.int64, device=self._seen.device)
            added[0, columns - prefix.length :] = 1
            self._seen = torch.cat((F.pad(self._seen, (columns - self._seen.shape[1], 0)), added))
            old = self._cache or [(key[:0], value[:0]) for key, value in prefix.cache]
            self._cache = [
                (_stack(keys, key, columns), _stack(values, value, columns))
                for (keys, values), (key, value) in zip(old, prefix.cache, strict=True)
            ]

    @torch.no_grad()
    def keep(self, rows: Tensor) -> None:
        self._seen = self._seen[rows]
        empty = int((self._seen.sum(0) > 0).int().argmax()) if len(rows) else self._seen.shape[1]
        self._seen = self._seen[:, empty:]
        self._cache = [(keys[rows, :, empty:], values[rows, :, empty:]) for keys, values in self._cache]

    @torch.no_grad()
    def step(self, tokens: Tensor) -> Tensor:
        from transformers import DynamicCache

        positions = self._seen.sum(1, keepdim=True)
        self._seen = F.pad(self._seen, (0, 1), value=1)
        cache = DynamicCache()
        for layer, (keys, values) in enumerate(self._cache):
            cache.update(keys, values, layer)
        out = self._model(
            input_ids=tokens[:, None],
            attention_mask=self._seen,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
        )
        self._cache = _layers(out.past_key_values)
        logits: Tensor = out.logits[:, -1].float()
        return logits


def hidden_before_completions(model: Any, batch: TokenBatch) -> tuple[Tensor, Tensor]:
    """The hidden state before each completion token (K, H), and those tokens (K,), row by row.

    Rows are padded on the right, where causal attention never looks back from, so there is no attention mask.
    """
    ids = pad_sequence([torch.tensor([*prompt, *completion]) for prompt, completion in batch.rows], batch_first=True)
    ids = ids.to(model.device)  # (N, P + T)
    rows, offsets = batch.completion_mask().to(model.device).nonzero(as_tuple=True)
    at = torch.tensor([len(prompt) for prompt, _ in batch.rows], device=model.device)[rows] + offsets
    hidden = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
    return hidden[rows, at - 1], ids[rows, at]


def _layers(cache: Any) -> list[tuple[Tensor, Tensor]]:
    return [(layer.keys, layer.values) for layer in cache.layers]


def _stack(old: Tensor, new: Tensor, columns: int) -> Tensor:
    """Rows of both, (rows, heads, columns, d), aligned on the right."""
    left = F.pad(old, (0, 0, columns - old.shape[2], 0))
    right = F.pad(new, (0, 0, columns - new.shape[2], 0))
    return torch.cat((left, right))
