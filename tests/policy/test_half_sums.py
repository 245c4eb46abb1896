"""Products whose sums are in float16, which a card's are imitated for (imitated_sums.py; tests/card has a card's)."""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from imitated_sums import SumsInFloat16
from torch import Tensor

from tina_lite.policy import TokenBatch
from tina_lite.policy.dense.autograd_ops import adapted_linear
from tina_lite.policy.dense.half_sums import LEAST_EXPONENT, add_product, power_of_two, sums_in_float16
from tina_lite.policy.dense.model import DenseModel
from tina_lite.policy.dense.trial import half_sums_share
from tina_lite.policy.engine import Engine, Facts, idle_accumulation
from tina_lite.policy.memory import layout_of
from tina_lite.policy.memory_request import MemoryBudget, MemoryRequest
from tina_lite.policy.model_folder import read_shape
from tina_lite.recipe import load_recipe
from tina_lite.recipe.file import shipped_recipes


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size", [1e-9, 1.0, 3e4])
def test_rows_of_any_size_are_multiplied_about_as_well_as_in_bfloat16(size: float) -> None:
    """As large as an activation of SmolLM2 gets, which float16 could not add up, and as small as a gradient."""
    x = (drawn(600, 576) * size * 10 ** drawn(600, 1, seed=1)).bfloat16()
    x[:, 7] *= 100  # one column is far larger, as in every language model
    weight, plus = (drawn(96, 576, seed=2) / 24).bfloat16(), (drawn(600, 96, seed=3) * size).bfloat16()
    wanted = x.double() @ weight.double().T + plus.double()
    with SumsInFloat16() as imitated:
        found = add_product(plus.clone(), x, weight)
    assert imitated.products == 2  # 512 rows, and 88
    in_bfloat16 = torch.addmm(plus, x, weight.T).double()
    assert (found.double() - wanted).norm() < 1.5 * (in_bfloat16 - wanted).norm()


def test_nothing_but_zeros_comes_to_zero() -> None:
    assert torch.equal(add_product(torch.zeros(3, 5), torch.zeros(3, 8), drawn(5, 8)), torch.zeros(3, 5))


@given(st.lists(st.floats(-1e30, 1e30), min_size=1, max_size=5))
def test_a_row_is_brought_below_1(row: list[float]) -> None:
    values = torch.tensor([row])
    largest, scale = float(values.abs().max()), float(power_of_two(values))
    assert largest < scale
    assert scale <= 2 * largest or scale == 2.0**LEAST_EXPONENT or largest == 0
    assert torch.frexp(torch.tensor(scale)).mantissa == 0.5


def test_cards_are_told_for_the_product_alone() -> None:
    told = torch.backends.cuda.matmul
    assert not told.allow_fp16_accumulation
    with sums_in_float16():
        assert told.allow_fp16_accumulation
    with pytest.raises(RuntimeError):
        add_product(torch.zeros(3, 5), torch.zeros(3, 8), drawn(5, 9))
    assert not told.allow_fp16_accumulation


@pytest.mark.parametrize("bias", [None, drawn(6, seed=3)])
@pytest.mark.parametrize("adapter", [True, False])
def test_gradients_are_those_of_the_exact_product(bias: Tensor | None, adapter: bool) -> None:
    x, a, b = (drawn(*shape, seed=seed) for seed, shape in enumerate([(5, 32), (2, 32), (6, 2)]))
    linear = SimpleNamespace(weight=drawn(6, 32, seed=4), bias=bias, adapter=lambda: (a, b), dropout=0.0, outputs=6)
    found = []
    for half_sums in (True, False):
        inputs = [one.clone().requires_grad_() for one in (x, a, b)]
        linear.adapter = lambda inputs=inputs: inputs[1:]
        y = adapted_linear(inputs[0], linear, adapter=adapter, half_sums=half_sums)  # type: ignore[arg-type]
        y.backward(drawn(5, 6, seed=6))
        found.append([y.detach(), *(one.grad for one in inputs if one.grad is not None)])
    assert len(found[0]) == len(found[1]) == (4 if adapter else 2)
    for ours, exact in zip(*found, strict=True):
        assert 0 <= (ours - exact).norm() < 0.002 * exact.norm()
    assert not torch.equal(found[0][0], found[1][0])


def test_an_update_sums_so_and_a_rollout_does_not(make_policy: Callable[..., Any]) -> None:
    policy = make_policy(spread=0.05)
    batch = TokenBatch(((5, 6, 7),), (((8, 9, 10, 11), (12, 13)),))
    wanted, _ = policy.logprobs(batch, 1.0)
    policy._dense = DenseModel(policy.causal_lm, policy.dtype, half_sums=True)
    with SumsInFloat16() as imitated, torch.no_grad():
        found, _ = policy.logprobs(batch, 1.0)
        layers = len(policy._dense.layers)
        assert imitated.products == 4 * layers
        decoder = policy.decoder(2, 64)
        decoder.admit(decoder.prefill([[5, 6, 7]]))
        decoder.step(torch.tensor([8]))
    assert imitated.products == 4 * layers
    assert 0 < float((found - wanted.detach()).abs().max()) < 0.02


def test_a_cpu_sums_as_always(make_policy: Callable[..., Any]) -> None:
    assert not make_policy(fp16_accumulation=True)._dense.half_sums


CARD = Facts(8.6, "2.13.0", None, None, None, frozenset())


@pytest.mark.parametrize(
    ("engine", "facts", "kind", "said"),
    [
        ("native", CARD, "qwen2", ""),
        ("native", Facts(None, "2.13.0", None, None, None, frozenset()), "qwen2", "no CUDA card"),
        ("native", CARD, "qwen3_5", "qwen3_5 is computed by transformers' own code"),
        ("unsloth", CARD, "qwen2", "the engine is unsloth, which has none"),
    ],
)
def test_where_it_changes_nothing_is_said(engine: Any, facts: Facts, kind: str, said: str) -> None:
    assert idle_accumulation(Engine(engine, "as the recipe says"), facts, lambda: kind) == said


def test_memory_of_float16_weights_is_planned() -> None:
    recipe = load_recipe(shipped_recipes()["paper/open-rs2"])
    shape, budget = read_shape(recipe.model.id), MemoryBudget(24 * 1024**3, True, 2)
    so = recipe.model_copy(update={"model": recipe.model.model_copy(update={"fp16_accumulation": True})})
    before, after = (layout_of(shape, MemoryRequest.of(one), budget) for one in (recipe, so))
    largest = 2 * 2 * shape.intermediate * shape.hidden
    assert largest < after.passing - before.passing < 3 * largest
    on_a_cpu = [layout_of(shape, MemoryRequest.of(one), replace(budget, card=False)) for one in (recipe, so)]
    assert on_a_cpu[0] == on_a_cpu[1], "which sums as always"


def test_seconds_are_compared() -> None:
    assert half_sums_share("cpu", 64, 48, 32) > 0
