"""Any causal model of transformers, over its own forward pass and cache: the 4-bit base with the adapter.

Rows are aligned on the right, so that the model's cache, which grows by one column a step, serves rows of any age.
Slower than a dense copy (decoder.py), and free of any knowledge of the architecture.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from tina_lite.policy.interface import Prefix, TokenBatch


class CachedDecoder:
    """A Decoder over `model(...)` with past_key_values; keys and values a layer: (rows, heads, columns, d)."""

    def __init__(self, model: Any, forget: Callable[[], None] = lambda: None) -> None:
        """`forget` is called before a cache goes in that is not the one that the model gave out last."""
        self._model = model
        self._forget = forget
        self._cache: Any = None  # as the model gave it out, or, once rows have changed, a DynamicCache of ours
        self._seen = torch.zeros(0, 0, dtype=torch.int64, device=model.device)  # (rows, columns), 1 where real

    @torch.no_grad()
    def prefill(self, prompts: Sequence[Sequence[int]]) -> list[Prefix]:
        return [self._read(prompt) for prompt in prompts]

    def _read(self, prompt: Sequence[int]) -> Prefix:
        self._forget()
        ids = torch.tensor([prompt], device=self._model.device)
        out = self._model(input_ids=ids, use_cache=True, return_dict=True)
        return Prefix(len(prompt), out.logits[0, -1].float(), _layers(out.past_key_values))

    @torch.no_grad()
    def admit(self, prefixes: Sequence[Prefix]) -> None:
        columns = max(self._seen.shape[1], *(prefix.length for prefix in prefixes))
        old = [] if self._cache is None else [_layers(self._cache)]
        new = [prefix.cache for prefix in prefixes]
        self._replace(
            [
                tuple(torch.cat([_right(part[side], columns) for part in layer]) for side in (0, 1))
                for layer in zip(*old, *new, strict=True)
            ]
        )
        lengths = torch.tensor([prefix.length for prefix in prefixes], device=self._seen.device)
        added = torch.arange(columns, 0, -1, device=self._seen.device) <= lengths[:, None]
        self._seen = torch.cat((F.pad(self._seen, (columns - self._seen.shape[1], 0)), added.long()))

    @torch.no_grad()
    def keep(self, rows: Tensor) -> None:
        self._seen = self._seen[rows]
        empty = int((self._seen.sum(0) > 0).int().argmax()) if len(rows) else self._seen.shape[1]
        self._seen = self._seen[:, empty:]
        self._replace([(keys[rows, :, empty:], values[rows, :, empty:]) for keys, values in _layers(self._cache)])

    @torch.no_grad()
    def step(self, tokens: Tensor) -> Tensor:
        positions = self._seen.sum(1, keepdim=True)
        self._seen = F.pad(self._seen, (0, 1), value=1)
        out = self._model(
            input_ids=tokens[:, None],
            attention_mask=self._seen,
            position_ids=positions,
            past_key_values=self._cache,
            use_cache=True,
            return_dict=True,
        )
        self._cache = out.past_key_values
        logits: Tensor = out.logits[:, -1].float()
        return logits

    def _replace(self, layers: Sequence[tuple[Tensor, ...]]) -> None:
        """Other rows than the model's own cache holds."""
        from transformers import DynamicCache

        self._forget()
        self._cache = DynamicCache()
        for index, (keys, values) in enumerate(layers):
            self._cache.update(keys, values, index)


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
    """Keys and values of each layer, of transformers' cache or of the pairs that Unsloth gives out."""
    if hasattr(cache, "layers"):
        return [(layer.keys, layer.values) for layer in cache.layers]
    return [(keys, values) for keys, values in cache]


def _right(rows: Tensor, columns: int) -> Tensor:
    """(rows, heads, any, d) to (rows, heads, columns, d), aligned on the right."""
    return F.pad(rows, (0, 0, columns - rows.shape[2], 0))
