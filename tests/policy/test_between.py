"""What a decode step computes between its products: compiled it is a kernel a stretch, and the same is drawn."""

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from sections import decode
from torch._inductor.utils import run_and_get_code

from tina_lite.policy.dense import between, model
from tina_lite.policy.dense.between import AS_IT_COMES, between_on, compiled, example
from tina_lite.policy.dense.model import DenseModel
from tina_lite.policy.model_folder import read_shape

HERE, CARD = torch.device("cpu"), torch.device("cuda")
SHAPE = replace(read_shape("Qwen/Qwen2.5-0.5B"), hidden=16, intermediate=24, heads=2, kv_heads=1, head_dim=8)
SMALL = SHAPE, 1e-6
STRETCHES = ("rotate", "add_and_norm", "gate")


@pytest.mark.slow  # a compiler is run: half a minute
@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no g++ to compile with")
def test_compiled_a_stretch_is_one_kernel_and_the_same_is_drawn(
    make_policy: Any, make_prompts: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By the compiler of CPUs, which fuses as that of cards does."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    policy = make_policy(spread=0.05)
    prompts = make_prompts(policy, 5)
    wanted = decode(policy.decoder(5, 256), prompts, 40)
    monkeypatch.setattr(model, "between_on", lambda _, *rest: compiled(HERE, *rest))
    for in_4_bits in (), ("gate_up", "down"):
        policy._dense = DenseModel(policy.causal_lm, policy.dtype, in_4_bits=in_4_bits)
        assert policy._dense.between is not AS_IT_COMES
        assert decode(policy.decoder(5, 256), prompts, 40) == wanted
    assert [kernels(stretch) for stretch in STRETCHES] == [1, 1, 1]


@torch.no_grad()
def kernels(name: str) -> int:
    """How many the compiled code of a stretch calls."""
    torch.compiler.reset()
    only = replace(AS_IT_COMES, **{name: torch.compile(getattr(AS_IT_COMES, name))})
    _, (code,) = run_and_get_code(lambda: example(8, HERE, torch.float32, *SMALL, addends=(2,))(only))
    return len(re.findall(r"^\s+\w*fused\w*\(", code, re.MULTILINE))


def test_a_cpu_decodes_as_it_comes() -> None:
    assert between_on(HERE, torch.float32, *SMALL) is AS_IT_COMES


def compiling(monkeypatch: pytest.MonkeyPatch, made: Callable[..., Any]) -> None:
    """What torch makes of a stretch."""
    monkeypatch.setattr(between, "compiled", lambda _, *rest: compiled.__wrapped__(HERE, *rest))
    monkeypatch.setattr(torch, "compile", lambda stretch, options: made(stretch))


def fails(stretch: Any) -> Any:
    raise RuntimeError(
        "Cannot find a working triton installation.\nEither the package is not installed or it is too old"
    )


def times(factor: float) -> Callable[..., Any]:
    """A compiler of which the results are so many times what they should be."""

    def made(stretch: Any) -> Any:
        def other(*inputs: Any) -> Any:
            out = stretch(*inputs)
            return out * factor if isinstance(out, torch.Tensor) else (out[0], out[1] * factor)

        return other

    return made


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (fails, "working triton installation. Either"),
        (times(1.1), "something else"),
        (times(torch.nan), "something else"),
    ],
)
def test_what_cannot_be_compiled_is_decoded_as_it_comes(
    monkeypatch: pytest.MonkeyPatch, made: Callable[..., Any], said: str
) -> None:
    compiling(monkeypatch, made)
    with pytest.warns(UserWarning, match=f"decoding is slower: .*{said}"):
        assert between_on(CARD, torch.float32, *SMALL) is AS_IT_COMES


def test_what_comes_to_the_same_is_decoded_with(monkeypatch: pytest.MonkeyPatch) -> None:
    compiling(monkeypatch, lambda stretch: lambda *inputs: stretch(*inputs))
    ours = between_on(CARD, torch.float32, *SMALL)
    assert ours is not AS_IT_COMES
    assert all(callable(getattr(ours, name)) for name in STRETCHES)
