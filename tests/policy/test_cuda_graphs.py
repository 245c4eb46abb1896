"""Decode steps that are recorded and replayed draw what they draw without; tests/card does the same on a card."""

import gc
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from fakes import records_as_it_computes
from hypothesis import given
from hypothesis import strategies as st
from sections import decode

from tina_lite.policy.dense.cuda_graphs import CudaGraphs, replayed_shape
from tina_lite.policy.dense.decoder import DenseDecoder


@given(st.integers(1, 4096), st.integers(1, 40_000))
def test_shapes_are_few_and_idle_work_is_bounded(rows: int, tokens: int) -> None:
    more_rows, more_tokens = replayed_shape(rows, tokens)
    assert rows <= more_rows < max(rows + 8, 1.5 * rows + 1)
    assert tokens <= more_tokens < max(tokens + 128, 1.125 * tokens + 1)


def test_there_are_few_shapes() -> None:
    assert len({replayed_shape(rows, 1)[0] for rows in range(1, 129)}) == 8
    assert len({replayed_shape(1, tokens)[1] for tokens in range(1, 4097)}) == 24


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CudaGraphs, "failed", set())


@pytest.fixture
def replaying(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A decoder that replays, on the CPU; the shapes that it recorded."""
    recorded: list[tuple[int, int]] = []

    def record(cuda_graphs: CudaGraphs, work: Any, shape: tuple[int, int]) -> Any:
        recorded.append(shape)
        return records_as_it_computes(cuda_graphs, work, shape)

    monkeypatch.setattr(CudaGraphs, "_recorded", record)

    def make(decoder: DenseDecoder) -> DenseDecoder:
        decoder._cuda_graphs = CudaGraphs()
        return decoder

    return make, recorded


def test_tokens_are_those_of_steps_that_are_not_replayed(make_policy: Any, make_prompts: Any, replaying: Any) -> None:
    make, recorded = replaying
    policy = make_policy(spread=0.05)
    prompts = make_prompts(policy, 5)
    assert decode(make(policy.decoder(5, 256)), prompts, 120) == decode(policy.decoder(5, 256), prompts, 120)
    assert recorded == [(5, 128), (5, 256)]


def test_a_graph_is_kept_as_long_as_its_shape_comes_back(make_policy: Any, make_prompts: Any, replaying: Any) -> None:
    make, recorded = replaying
    policy = make_policy()
    decoder = make(policy.decoder(16, 512))
    decoder.admit(decoder.prefill([prompt.ids for prompt in make_prompts(policy, 1)]) * 16)
    tokens = torch.zeros(16, dtype=torch.int64)
    for _ in range(300):
        decoder.step(tokens)
    assert recorded == [(16, 128), (16, 256), (16, 384)]
    assert list(decoder._cuda_graphs._graphs) == [(16, 384)]
    decoder.keep(torch.arange(3))
    for _ in range(5):
        decoder.step(tokens[:3])
    assert list(decoder._cuda_graphs._graphs) == [(16, 384), (8, 384)]


def test_where_nothing_can_be_recorded_it_says_so_once_and_goes_on(
    make_policy: Any, make_prompts: Any, replaying: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cannot(*_: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    make, _ = replaying
    monkeypatch.setattr(CudaGraphs, "_recorded", cannot)
    policy = make_policy(spread=0.05)
    prompts = make_prompts(policy, 5)
    with pytest.warns(UserWarning, match="decoding is slower: a CUDA graph cannot be recorded") as said:
        drawn = decode(make(policy.decoder(5, 128)), prompts)
    assert len(said) == 1
    assert drawn == decode(policy.decoder(5, 128), prompts)


def test_a_recording_that_cannot_be_ended_leaves_nothing_behind_and_is_not_tried_again(
    make_policy: Any, make_prompts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As torch leaves it: on the recording's stream, its pool open."""
    told: list[tuple[Any, ...]] = []

    @contextmanager
    def recording(graph: Any, pool: Any, capture_error_mode: str) -> Iterator[None]:
        told.append(("begin", pool))
        yield
        raise RuntimeError("CUDA error: operation failed due to a previous error during capture")

    def replaying(decoder: DenseDecoder) -> DenseDecoder:
        decoder._cuda_graphs = CudaGraphs()
        return decoder

    fake = {
        "CUDAGraph": lambda: None, "current_stream": lambda: "usual", "graph_pool_handle": lambda: (0, 7),
        "graph": recording, "set_stream": lambda stream: told.append(("stream", stream)), "current_device": lambda: 0,
    }  # fmt: skip
    for name, value in fake.items():
        monkeypatch.setattr(torch.cuda, name, value)
    for name in ("_cuda_endAllocateToPool", "_cuda_releasePool"):
        monkeypatch.setattr(torch._C, name, lambda *words, name=name: told.append((name, *words)), raising=False)
    policy = make_policy(spread=0.05)
    prompts = make_prompts(policy, 5)
    expected = decode(policy.decoder(5, 128), prompts)
    with pytest.warns(UserWarning, match="decoding is slower"):
        assert decode(replaying(policy.decoder(5, 128)), prompts) == expected
    pool = (0, 7)
    once = [("begin", pool), ("stream", "usual"), ("_cuda_endAllocateToPool", 0, pool), ("_cuda_releasePool", 0, pool)]
    assert told == once
    assert decode(replaying(policy.decoder(5, 128)), prompts) == expected
    assert told == once


def test_a_decoder_that_nobody_holds_is_freed_at_once(
    make_policy: Any, make_prompts: Any, replaying: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its cache may be most of a card's memory."""
    make, _ = replaying
    monkeypatch.setattr(
        CudaGraphs, "_recorded", lambda _, work, shape: (SimpleNamespace(replay=lambda: 0), work(*shape))
    )
    policy = make_policy()
    decoder = make(policy.decoder(8, 256))
    decoder.admit(decoder.prefill([prompt.ids for prompt in make_prompts(policy, 2)]))
    for _ in range(3):
        decoder.step(torch.zeros(2, dtype=torch.int64))
    gone = weakref.ref(decoder)
    gc.disable()
    try:
        del decoder
        assert gone() is None
    finally:
        gc.enable()
