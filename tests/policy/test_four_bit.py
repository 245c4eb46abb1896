"""Products in 4 bits: the codes are the modules' own, and what is sampled is what the dequantised weights sample."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sections import decode

from tina_lite.plan.device import card_named, on_card, room_on
from tina_lite.policy import four_bit
from tina_lite.policy.dense import trial
from tina_lite.policy.dense.linears import MOST_IN_4_BITS, FusedLinear, base_weight, can_join
from tina_lite.policy.dense.model import DenseModel
from tina_lite.policy.dense.trial import TRIED, ProductTrial, measured_rows
from tina_lite.policy.four_bit import products, rows_by_table
from tina_lite.policy.memory import MemoryLayout, layout_of
from tina_lite.policy.memory_request import MemoryRequest
from tina_lite.policy.model_folder import read_shape
from tina_lite.recipe import load_recipe
from tina_lite.recipe.file import shipped_recipes
from tina_lite.runs.state import SavedRuntime
from tina_lite.util.stateful import adapter

R1 = "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"
BOTH = ("gate_up", "down")


def in_4_bits(policy: Any) -> Any:
    policy._dense = DenseModel(policy.causal_lm, policy.dtype, in_4_bits=BOTH)
    assert all(layer.gate_up._codes and layer.down._codes for layer in policy._dense.layers)
    return policy


def test_codes_one_above_the_other_are_those_of_the_modules(make_policy: Any) -> None:
    policy = make_policy(spread=0.05)
    modules = [module for layer in policy.causal_lm.model.layers for module in (layer.mlp.gate_proj, layer.mlp.up_proj)]
    before = [base_weight(module) for module in modules]
    nested = [module.base_layer.weight.quant_state.nested for module in modules]
    in_4_bits(policy)
    for module, weight in zip(modules, before, strict=True):
        assert torch.equal(base_weight(module), weight)
        assert not module.base_layer.weight.quant_state.nested
    for layer, pair in zip(policy._dense.layers, zip(before[::2], before[1::2], strict=True), strict=True):
        assert torch.equal(layer.gate_up.weight, torch.cat(pair))
        module = layer.gate_up._modules[0].base_layer
        assert (
            module.weight.data.untyped_storage().data_ptr() == layer.gate_up._codes._codes.untyped_storage().data_ptr()
        )
    assert all(nested)


def test_in_float32_the_same_is_drawn(make_policy: Any, make_prompts: Any) -> None:
    policy = make_policy(spread=0.05)
    prompts = make_prompts(policy, 5)
    wanted = decode(policy.decoder(5, 256), prompts, 40)
    assert decode(in_4_bits(policy).decoder(5, 256), prompts, 40) == wanted


@torch.no_grad()
def test_logits_differ_by_roundings_alone(make_policy: Any) -> None:
    """In bfloat16, from those of float32: not by much more than dequantised weights let them."""
    exact, rounded = (make_policy(compute_dtype=dtype, spread=0.05) for dtype in ("float32", "bfloat16"))

    def logits(policy: Any) -> torch.Tensor:
        decoder = policy.decoder(2, 64)
        decoder.admit(decoder.prefill([[5, 6, 7], [9, 10, 11, 12]]))
        out: torch.Tensor = decoder.step(torch.tensor([40, 41]))
        return out

    wanted, dequantised = logits(exact), logits(rounded)
    assert (logits(in_4_bits(rounded)) - wanted).norm() < 1.5 * (dequantised - wanted).norm()


@torch.no_grad()
def test_an_adapter_below_half_a_step_of_16_bits_is_not_lost(make_policy: Any) -> None:
    policy = make_policy(compute_dtype="bfloat16")
    for name, parameter in policy.trainable().items():
        if "lora_B" in name:
            parameter.normal_(std=1e-5)
    linear: FusedLinear = in_4_bits(policy)._dense.layers[0].gate_up
    x = torch.randn(64, 1, generator=torch.Generator().manual_seed(1)).expand(64, linear.weight.shape[1]).bfloat16()
    down, up = (part.double() for part in linear.adapter() or ())
    effect = x.double() @ down.T @ up.T
    base = linear._codes.product(x, linear.bias).double() if linear._codes else 0
    assert (effect.abs() < 2.0**-9 * (base + 1e-30).abs()).double().mean() > 0.5
    found = linear(x)
    assert found.dtype == torch.float32
    assert float(((found.double() - base) * effect).sum() / effect.square().sum()) == pytest.approx(1, abs=0.02)


@torch.no_grad()
def test_a_prompt_is_read_with_dequantised_weights(make_policy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    linear = in_4_bits(make_policy())._dense.layers[0].down
    monkeypatch.setattr(type(linear._codes), "product", None)
    rows = torch.ones(MOST_IN_4_BITS + 1, linear.weight.shape[1])
    assert linear(rows).shape == (MOST_IN_4_BITS + 1, linear.outputs)


def test_what_is_not_in_nf4_stays_as_it_is(make_policy: Any, make_prompts: Any) -> None:
    policy = make_policy(quantization="none", spread=0.05)
    prompts = make_prompts(policy, 5)
    wanted = decode(policy.decoder(5, 64), prompts)
    assert not can_join([policy.causal_lm.model.layers[0].mlp.down_proj])
    policy._dense = DenseModel(policy.causal_lm, policy.dtype, in_4_bits=BOTH)
    assert decode(policy.decoder(5, 64), prompts) == wanted


@given(st.lists(st.booleans(), min_size=len(TRIED), max_size=len(TRIED)))
def test_rows_end_where_it_is_slower_for_the_first_time(faster: list[bool]) -> None:
    wins = dict(zip(TRIED, faster, strict=True))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(trial, "ProductTrial", lambda *_: SimpleNamespace(is_won_with=wins.__getitem__))
        most = measured_rows(read_shape(R1), torch.device("cuda"), torch.bfloat16).get("gate_up", 0)
    assert all(wins[rows] for rows in TRIED if rows <= most)
    assert most == TRIED[-1] or not wins[next(rows for rows in TRIED if rows > most)]


def test_a_card_that_cannot_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = replace(read_shape(R1), hidden=64, intermediate=128)
    here = torch.device("cpu"), torch.bfloat16
    monkeypatch.setattr(four_bit, "SMALLEST", 1)
    monkeypatch.setattr(trial, "timed", lambda work: len(work()))
    assert measured_rows(shape, *here) == {}  # as fast as a copy is not faster
    times = iter([1.0, 2.0] * 100)
    monkeypatch.setattr(trial, "timed", lambda work: next(times))
    assert measured_rows(shape, *here) == {"gate_up": 128, "down": 128}

    def fails(*_: Any) -> Any:
        raise RuntimeError("CUDA error: no kernel image is available for execution on the device")

    with monkeypatch.context() as patched:
        patched.setattr(trial, "timed", fails)
        assert measured_rows(shape, *here) == {}
    product = ProductTrial.product
    monkeypatch.setattr(
        ProductTrial, "product", lambda self, way, *of: product(self, way, *of) * (1 + 0.1 * (way != "copy"))
    )
    assert measured_rows(shape, *here) == {}


def test_small_products_and_cards_without_the_kernel_keep_a_copy() -> None:
    assert rows_by_table("8.6", read_shape(R1)) == {"gate_up": 128, "down": 64}
    assert rows_by_table("9.0", read_shape(R1)) == {}
    assert products(read_shape("HuggingFaceTB/SmolLM2-135M-Instruct")) == {}


@pytest.mark.parametrize(
    ("card", "in_4_bits", "dense_copy"),
    [
        ("RTX 3060", ("gate_up", "down"), True),
        ("RTX 3070", ("gate_up", "down"), False),
        ("RTX 4090", ("gate_up",), True),
        ("H100 SXM", (), True),
    ],
)
def test_open_rs2_on_cards(card: str, in_4_bits: tuple[str, ...], dense_copy: bool) -> None:
    recipe = load_recipe(shipped_recipes()["paper/open-rs2"])
    shape, known = read_shape(recipe.model.id), card_named(card)
    assert known is not None
    budget = room_on(on_card(known, "auto"), shape)
    layout = layout_of(shape, MemoryRequest.of(recipe), budget)
    assert (layout.in_4_bits, layout.dense_copy) == (in_4_bits, dense_copy)
    assert all(layout.sequences <= budget.rows_in_4_bits[product] for product in layout.in_4_bits)
    before: MemoryLayout = layout_of(shape, MemoryRequest.of(recipe), replace(budget, rows_in_4_bits={}))
    assert layout.sequences >= before.sequences
    assert ("in 4 bits" in layout.reason) == bool(in_4_bits)


def test_a_checkpoint_of_an_earlier_version_has_none_in_4_bits() -> None:
    state = {"dense_copy": True, "kv_tokens": 9, "micro_batch_tokens": 9, "activations": "stored", "chunk_elements": 9}
    assert adapter(SavedRuntime).validate_python({**state, "dtype": "bfloat16"}).in_4_bits == ()
