"""Keys and values of the sequences that are decoded: static buffers, in which each sequence writes at its own length.

A card's flash kernel reads of each sequence what is there. Without it all are read as far as the longest, and what
lies behind the end of a shorter one is masked.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.attention.varlen import varlen_attn

from tina_lite.policy.dense.attention import FLASH_CAPABILITY, HALF, agree

Attend = Callable[[int, Tensor, Tensor], Tensor]
"""From a layer, its queries and its keys and values, all (N, heads, d), to what is attended to, as the queries."""
Written = Any
"""Keys and values of a prompt, in the layout of the cache that `write` takes them."""


class Cache(Protocol):
    """Holds keys and values of N sequences in rows of their own."""

    reads_own_length: bool
    """Whether a sequence is read as far as it goes, and not as far as the longest."""

    def of_prompts(self, key_values: Sequence[Tensor], lengths: Sequence[int]) -> list[Written]:
        """What was computed for prompts, (B, P, 2 x kv heads, d) a layer, as `write` takes it."""
        ...

    def write(self, sequence: int, prompt: Written, length: int) -> None:
        """Begin a sequence with a prompt."""
        ...

    def move(self, to: Sequence[int], since: Sequence[int], used: int) -> None:
        """Copy `used` tokens of sequences into the places of others."""
        ...

    def attention(self, at: Tensor, used: int) -> Attend:
        """Attention of the next token of each sequence, which is written at its length `at` (N,).

        No sequence has more than `used` tokens, the next one included.
        """
        ...


class PaddedCache:
    """Reads all sequences as far as the longest.

    Keys stand transposed, as the product with one query a head reads them: on a CPU that takes half as long as the
    library's attention, which is made for many queries (bench/README.md).
    """

    reads_own_length = False

    def __init__(self, layers: int, heads: int, width: int, sequences: int, tokens: int, like: Tensor) -> None:
        # Zeros, as what is not written yet must be finite: its weight of 0 is multiplied with it.
        self._keys = like.new_zeros(layers, sequences, heads, width, tokens)
        self._values = like.new_zeros(layers, sequences, heads, tokens, width)

    def of_prompts(self, key_values: Sequence[Tensor], lengths: Sequence[int]) -> list[Written]:
        keys, values = torch.stack(list(key_values)).chunk(2, dim=3)  # (layers, B, P, kv heads, d)
        keys, values = keys.permute(0, 1, 3, 4, 2).contiguous(), values.transpose(2, 3).contiguous()
        return [(keys[:, row, :, :, :length], values[:, row, :, :length]) for row, length in enumerate(lengths)]

    def write(self, sequence: int, prompt: Written, length: int) -> None:
        self._keys[:, sequence, :, :, :length], self._values[:, sequence, :, :length] = prompt

    def move(self, to: Sequence[int], since: Sequence[int], used: int) -> None:
        self._keys[:, to, :, :, :used] = self._keys[:, since, :, :, :used]
        self._values[:, to, :, :used] = self._values[:, since, :, :used]

    def attention(self, at: Tensor, used: int) -> Attend:
        sequences, heads, width = len(at), *self._keys.shape[2:4]
        everyone = torch.arange(sequences, device=at.device)
        unwritten = torch.arange(used, device=at.device) > at[:, None]  # (N, used)
        mask = torch.zeros(unwritten.shape, dtype=self._keys.dtype, device=at.device)
        mask = mask.masked_fill_(unwritten, -torch.inf).repeat_interleave(heads, 0)
        mask = mask[:, None]  # (N x kv heads, 1, used)

        def attend(layer: int, query: Tensor, key_value: Tensor) -> Tensor:
            key, value = key_value.chunk(2, dim=1)  # (N, kv heads, d)
            self._keys[layer, everyone, :, :, at] = key
            self._values[layer, everyone, :, at] = value
            keys = self._keys[layer, :sequences].flatten(0, 1)[:, :, :used]
            values = self._values[layer, :sequences].flatten(0, 1)[:, :used]
            # The query heads of a group share a key head: as rows of one product they need no copy of the cache.
            folded = query.unflatten(1, (heads, -1)).flatten(0, 1)  # (N x kv heads, group, d)
            scores = torch.baddbmm(mask, folded, keys, alpha=width**-0.5)
            return torch.bmm(scores.softmax(-1), values).view(query.shape)

        return attend


class FlashCache:
    """Reads of each sequence what is there, by torch's kernel for sequences of many lengths."""

    reads_own_length = True

    def __init__(self, layers: int, heads: int, width: int, sequences: int, tokens: int, like: Tensor) -> None:
        self._buffer = like.new_zeros(layers, sequences, tokens, 2 * heads, width)

    def of_prompts(self, key_values: Sequence[Tensor], lengths: Sequence[int]) -> list[Written]:
        stacked = torch.stack(list(key_values))
        return [stacked[:, row, :length] for row, length in enumerate(lengths)]

    def write(self, sequence: int, prompt: Written, length: int) -> None:
        self._buffer[:, sequence, :length] = prompt

    def move(self, to: Sequence[int], since: Sequence[int], used: int) -> None:
        self._buffer[:, to, :used] = self._buffer[:, since, :used]

    def attention(self, at: Tensor, used: int) -> Attend:
        sequences, tokens = len(at), self._buffer.shape[2]
        everyone = torch.arange(sequences, device=at.device)
        starts = torch.arange(sequences + 1, device=at.device, dtype=torch.int32)
        places, lengths = starts * tokens, (at + 1).int()

        def attend(layer: int, query: Tensor, key_value: Tensor) -> Tensor:
            buffer = self._buffer[layer, :sequences]
            buffer[everyone, at] = key_value
            keys, values = buffer.flatten(0, 1).chunk(2, dim=1)  # (N x tokens, kv heads, d)
            attended = varlen_attn(query, keys, values, starts, places, 1, used, enable_gqa=True, seqused_k=lengths)
            assert isinstance(attended, Tensor)  # else a pair, where more is asked for
            return attended

        return attend


def make_cache(layers: int, heads: int, width: int, sequences: int, tokens: int, like: Tensor) -> Cache:
    """The cache that reads least where `like` is, in its dtype; of so many key heads, sequences and tokens of each."""
    kind = FlashCache if reads_by_length(like.device, like.dtype, width) else PaddedCache
    return kind(layers, heads, width, sequences, tokens, like)


@cache
def reads_by_length(device: torch.device, dtype: torch.dtype, width: int) -> bool:
    """Tried once: whether the flash kernel can be had, and attends to what it should."""
    if device.type != "cuda" or dtype not in HALF or torch.cuda.get_device_capability(device) < FLASH_CAPABILITY:
        return False
    try:
        return attends_alike(torch.empty(0, dtype=dtype, device=device), width)
    except (RuntimeError, AssertionError, TypeError):  # built without it, or heads that it does not take
        return False


@torch.no_grad()
def attends_alike(like: Tensor, width: int) -> bool:
    """Whether both caches attend to the same in a small case of unequal lengths, but for rounding."""
    lengths, heads, group, tokens = (3, 130, 64), 2, 3, 256
    draw = torch.Generator().manual_seed(1)
    prompts = torch.randn(3, tokens, 2 * heads, width, generator=draw).to(like)
    query = torch.randn(3, heads * group, width, generator=draw).to(like)
    found = []
    for kind in (PaddedCache, FlashCache):
        one: Cache = kind(1, heads, width, 3, tokens, like)
        for row, prompt in enumerate(one.of_prompts([prompts], lengths)):
            one.write(row, prompt, lengths[row])
        attend = one.attention(torch.tensor(lengths, device=like.device), tokens)
        found.append(attend(0, query, prompts[:, -1]))
    ours, library = (out.float() for out in found)
    return agree([library], [ours])
