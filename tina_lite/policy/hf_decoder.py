"""Any causal model of transformers, over its own forward pass and cache: the 4-bit base with the adapter.

Rows are aligned on the right, so that the model's cache, which grows by one column a step, serves sequences of any age.
Slower than a dense copy (decoder.py), and free of any knowledge of the architecture.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from tina_lite.policy.interface import Prefix, TokenBatch
from tina_lite.util.errors import BadInput


@dataclass(frozen=True, slots=True)
class LayerState:
    """What a layer remembers of its sequences: of each token, of what it has read as a whole, or both."""

    by_token: tuple[Tensor, ...] = ()
    """Keys and values, (sequences, heads, columns, d); nothing in a layer without attention."""
    whole: tuple[tuple[Tensor | None, Tensor | None], ...] = ()
    """Convolutional and recurrent state, (sequences, ...), of each of its mixers."""

    def take(self, sequences: Tensor, empty: int) -> "LayerState":
        """These sequences, in this order, without the first columns, which are empty."""
        whole = tuple(
            (_taken(convolved, sequences), _taken(recurrent, sequences)) for convolved, recurrent in self.whole
        )
        return LayerState(tuple(tensor[sequences, :, empty:] for tensor in self.by_token), whole)

    @staticmethod
    def join(states: Sequence["LayerState"], columns: int) -> "LayerState":
        """Put the sequences of several one behind the other."""
        by_token = [
            torch.cat([_right(part, columns) for part in parts]) for parts in zip(*(s.by_token for s in states))
        ]
        whole = zip(*(state.whole for state in states), strict=True)
        return LayerState(tuple(by_token), tuple((_joined(c), _joined(r)) for c, r in (zip(*parts) for parts in whole)))


class CachedDecoder:
    """Is a Decoder over `model(...)` with past_key_values."""

    def __init__(self, model: Any, forget: Callable[[], None] = lambda: None) -> None:
        """`forget` is called before a cache goes in that is not the one that the model gave out last."""
        self._model = model
        self._forget = forget
        self._cache: Any = None  # as the model gave it out, or, once sequences have changed, a DynamicCache of ours
        self._seen = torch.zeros(0, 0, dtype=torch.int64, device=model.device)  # (sequences, columns), 1 where real

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
        self._replace([LayerState.join(states, columns) for states in zip(*old, *new, strict=True)])
        lengths = torch.tensor([prefix.length for prefix in prefixes], device=self._seen.device)
        added = torch.arange(columns, 0, -1, device=self._seen.device) <= lengths[:, None]
        self._seen = torch.cat((F.pad(self._seen, (columns - self._seen.shape[1], 0)), added.long()))

    @torch.no_grad()
    def keep(self, sequences: Tensor) -> None:
        self._seen = self._seen[sequences]
        empty = int((self._seen.sum(0) > 0).int().argmax()) if len(sequences) else self._seen.shape[1]
        self._seen = self._seen[:, empty:]
        self._replace([state.take(sequences, empty) for state in _layers(self._cache)])

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

    def _replace(self, layers: Sequence[LayerState]) -> None:
        """Other sequences than the model's own cache holds."""
        from transformers import DynamicCache

        self._forget()
        self._cache = DynamicCache()
        self._cache.layers = [_filled(state) for state in layers]


def hidden_before_completions(model: Any, batch: TokenBatch) -> tuple[Tensor, Tensor]:
    """Give the hidden state before each completion token (K, H), and those tokens (K,), sequence by sequence.

    Rows are padded on the right, where causal attention never looks back from, so there is no attention mask.
    """
    ids = pad_sequence(
        [torch.tensor([*prompt, *completion]) for prompt, completion in batch.sequences], batch_first=True
    )
    ids = ids.to(model.device)  # (N, P + T)
    sequences, offsets = batch.completion_mask().to(model.device).nonzero(as_tuple=True)
    at = torch.tensor([len(prompt) for prompt, _ in batch.sequences], device=model.device)[sequences] + offsets
    decoder = model.model if model.base_model is model else model.base_model  # llama4_text names another as its base
    hidden = decoder(input_ids=ids, use_cache=False).last_hidden_state
    return hidden[sequences, at - 1], ids[sequences, at]


def _layers(cache: Any) -> list[LayerState]:
    """Of transformers' cache, or of the pairs that Unsloth gives out. BadInput where a layer is of an unknown kind."""
    if not hasattr(cache, "layers"):
        return [LayerState((keys, values)) for keys, values in cache]
    return [_state_of(layer) for layer in cache.layers]


def _state_of(layer: Any) -> LayerState:
    from transformers.cache_utils import DynamicIndexedLayer, DynamicLayer, LinearAttentionLayer

    linear = isinstance(layer, LinearAttentionLayer)
    if isinstance(layer, DynamicIndexedLayer) or not (linear or isinstance(layer, DynamicLayer)):
        raise BadInput(f"its cache has a {type(layer).__name__}, of whose sequences none can be taken out")
    return LayerState(
        (layer.keys, layer.values) if isinstance(layer, DynamicLayer) else (),
        tuple(zip(layer.conv_states.values(), layer.recurrent_states.values(), strict=True)) if linear else (),
    )


def _filled(state: LayerState) -> Any:
    """A layer of transformers' cache that holds this."""
    from transformers.cache_utils import DynamicLayer, LinearAttentionAndFullAttentionLayer, LinearAttentionLayer

    if not state.whole:
        layer = DynamicLayer()
    elif state.by_token:
        layer = LinearAttentionAndFullAttentionLayer(len(state.whole))
    else:
        layer = LinearAttentionLayer(len(state.whole))
    if state.by_token:
        layer.update(*state.by_token)
    for number, (convolved, recurrent) in enumerate(state.whole):
        if convolved is not None:
            layer.update_conv_state(convolved, number)
        if recurrent is not None:
            layer.update_recurrent_state(recurrent, number)
    return layer


def _taken(tensor: Tensor | None, sequences: Tensor) -> Tensor | None:
    return None if tensor is None else tensor[sequences]


def _joined(tensors: Sequence[Tensor | None]) -> Tensor | None:
    found = [tensor for tensor in tensors if tensor is not None]
    return torch.cat(found) if found else None


def _right(sequences: Tensor, columns: int) -> Tensor:
    """(sequences, heads, any, d) to (sequences, heads, columns, d), aligned on the right."""
    return F.pad(sequences, (0, 0, columns - sequences.shape[2], 0))
