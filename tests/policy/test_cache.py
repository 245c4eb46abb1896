"""A decode step attends to what its sequence has: both caches, the kernel of cards imitated (tests/card has it)."""

from typing import Any

import pytest
import torch
from sections import decode
from torch import Tensor

from tina_lite.policy.dense import cache
from tina_lite.policy.dense.cache import FlashCache, PaddedCache, attends_alike, reads_by_length

READ: list[int] = []


def by_definition(
    query: Tensor, keys: Tensor, values: Tensor, starts: Tensor, places: Tensor, max_q: int, most: int, **also: Any
) -> Tensor:
    """torch.nn.attention.varlen.varlen_attn as its documentation has it, for a query a sequence; READ is told."""
    assert max_q == 1
    assert also["enable_gqa"]
    assert starts.tolist() == list(range(len(query) + 1))
    assert all(x.dtype == torch.int32 for x in (starts, places, also["seqused_k"]))
    out = []
    for one, place, length in zip(query, places.tolist(), also["seqused_k"].tolist(), strict=False):
        assert length <= most
        READ.append(length)
        there = slice(place, place + length)
        key, value = (x[there].repeat_interleave(query.shape[1] // x.shape[1], 1) for x in (keys, values))
        weights = (torch.einsum("hd,thd->ht", one, key) * query.shape[2] ** -0.5).softmax(-1)
        out.append(torch.einsum("ht,thd->hd", weights, value))
    return torch.stack(out)


@pytest.fixture(autouse=True)
def imitated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "varlen_attn", by_definition)
    READ.clear()


def test_both_caches_draw_the_same(make_policy: Any, make_prompts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = make_policy(spread=0.05)
    prompts = make_prompts(policy, 5)
    wanted = decode(policy.decoder(5, 256), prompts, 40)
    monkeypatch.setattr(cache, "reads_by_length", lambda *_: True)
    assert decode(policy.decoder(5, 256), prompts, 40) == wanted
    assert READ


def test_each_sequence_is_read_as_far_as_it_goes(make_policy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "reads_by_length", lambda *_: True)
    decoder = make_policy().decoder(8, 512)
    long, short = (decoder.prefill([[1] * length])[0] for length in (400, 5))
    decoder.admit([long, short, short])
    READ.clear()
    decoder.step(torch.zeros(3, dtype=torch.int64))
    layers = len(READ) // 8
    assert sum(READ) == layers * (401 + 6 + 6 + 5)  # the five idle rows hold nothing but what they write


def test_after_the_longest_has_left_no_step_reads_so_far(make_policy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    attention = PaddedCache.attention

    def told(self: PaddedCache, at: Tensor, used: int) -> Any:
        read.append(used)
        return attention(self, at, used)

    decoder = make_policy().decoder(8, 512)
    monkeypatch.setattr(PaddedCache, "attention", told)
    decoder.admit(decoder.prefill([[1] * 400]) + decoder.prefill([[1] * 4]))
    decoder.step(torch.zeros(2, dtype=torch.int64))
    decoder.keep(torch.tensor([1]))
    decoder.step(torch.zeros(1, dtype=torch.int64))
    assert read == [416, 16]


@pytest.mark.parametrize("width", [16, 64])
def test_a_kernel_that_attends_to_something_else_is_not_used(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    assert attends_alike(torch.empty(0), width)
    monkeypatch.setattr(cache, "varlen_attn", lambda *given, **also: by_definition(*given, **also) * 1.1)
    assert not attends_alike(torch.empty(0), width)
    monkeypatch.setattr(
        cache,
        "varlen_attn",
        lambda *given, seqused_k, **also: by_definition(*given, seqused_k=seqused_k - 1, **also),
    )
    assert not attends_alike(torch.empty(0), width)


def test_a_cpu_reads_as_far_as_the_longest() -> None:
    assert not reads_by_length(torch.device("cpu"), torch.bfloat16, 64)
    made = cache.make_cache(1, 2, 64, 3, 16, torch.empty(0))
    assert isinstance(made, PaddedCache)
    assert not isinstance(made, FlashCache)
