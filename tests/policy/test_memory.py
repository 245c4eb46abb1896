"""What is kept where: against tensors of those shapes, against bitsandbytes, by what must never go down, by a table."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tina_lite.plan import read_shape
from tina_lite.policy import memory
from tina_lite.policy.memory import GIB, MemoryLayout, layout_of, refuse_too_large
from tina_lite.policy.memory_request import (
    CHUNK_ELEMENTS,
    LOGIT_COPIES,
    NF4_TABLES,
    MemoryBudget,
    MemoryRequest,
    base_bytes,
    chunk_elements,
    nf4_bytes,
)
from tina_lite.policy.model_folder import TINY_BASE, shipped_models
from tina_lite.policy.shape import ModelShape
from tina_lite.recipe import Recipe, load_recipe
from tina_lite.util.errors import NoRoom
from tina_lite.util.stateful import ResolvedRuntime

RECIPES = Path(__file__).parents[2] / "recipes"

QWEN = "Qwen/Qwen2.5-1.5B"
R1 = "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"
SMOL = "HuggingFaceTB/SmolLM2-135M-Instruct"
MODELS = (TINY_BASE, *shipped_models())
WHOLE = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
SEVEN_B = {
    "model_type": "qwen2",
    "hidden_act": "silu",
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "vocab_size": 152064,
}
"""Qwen2.5-7B."""


def shape_named(model: str) -> ModelShape:
    return ModelShape.from_config(SEVEN_B, model) if model == "7B" else read_shape(model)


def on_meta(name: str) -> dict[str, torch.Tensor]:
    """Parameters of Qwen2.5-1.5B by name, without their numbers; the tied head is the embedding."""
    from transformers import AutoModelForCausalLM, Qwen2Config

    config = Qwen2Config(
        vocab_size=151936,
        hidden_size=1536,
        intermediate_size=8960,
        num_hidden_layers=28,
        num_attention_heads=12,
        num_key_value_heads=2,
        tie_word_embeddings=True,
    )
    with torch.device("meta"):
        return dict(AutoModelForCausalLM.from_config(config).named_parameters())


def test_weights_in_nf4_agree_with_tensors_and_sizes_worked_out_by_hand():
    """Each projection: half a byte a weight, a byte for 64 of them, 4 bytes for 64 x 256, two tables."""
    quantised = plain = 0
    for name, parameter in on_meta(QWEN).items():
        if name.endswith("proj.weight"):
            quantised += parameter.numel() // 2 + parameter.numel() // 64 + parameter.numel() // (64 * 256) * 4 + 1092
        else:
            plain += parameter.numel() * 2
    assert base_bytes(read_shape(QWEN), "nf4", 2) == pytest.approx(quantised + plain, rel=0.001)
    assert quantised + plain == pytest.approx(1.143e9, rel=0.001)


def test_quantised_bytes_are_those_of_bitsandbytes():
    import bitsandbytes as bnb

    data, state = bnb.functional.quantize_4bit(torch.randn(512, 192), quant_type="nf4", compress_statistics=True)
    held = [data, state.absmax, state.code, state.offset, state.state2.absmax, state.state2.code]
    assert nf4_bytes(512 * 192) + NF4_TABLES == sum(tensor.numel() * tensor.element_size() for tensor in held)


def test_the_base_as_it_is_takes_every_weight_whole():
    assert base_bytes(read_shape(QWEN), "none", 2) == 2 * sum(p.numel() for p in on_meta(QWEN).values())


def test_adapters_are_those_of_peft(make_policy):
    """In bfloat16 with a gradient in float32, and masters with theirs and two moments in float32."""
    policy = make_policy()
    trained = sum(parameter.numel() for parameter in policy.trainable().values())
    shape = read_shape(TINY_BASE)
    assert shape.lora_parameters(8, WHOLE) == trained
    memory_request = MemoryRequest.of(Recipe.model_validate({"data": {"source": "arithmetic"}, "lora": {"r": 8}}))
    on_a_card, on_a_cpu = (layout_of(shape, memory_request, MemoryBudget(64 * GIB, card, 4)) for card in (True, False))
    assert (on_a_card.adapters, on_a_card.optimizer) == (6 * trained, 16 * trained)
    assert on_a_cpu.optimizer == 28 * trained, "and what they were before the step, which elsewhere is not the card's"


recipes = st.builds(
    lambda prompts, generations, prompt, completion, batch, kv, r, problems: Recipe.model_validate(
        {
            "data": {"source": "arithmetic"},
            "lora": {"r": r},
            "rollout": {
                "prompts_per_step": prompts,
                "num_generations": generations,
                "max_prompt_length": prompt,
                "max_completion_length": completion,
                "kv_tokens": kv,
            },
            "optim": {"micro_batch_tokens": batch},
            "eval": {"benchmarks": ["held_out"] if problems else [], "problems": problems or 1},
        }
    ),
    prompts=st.integers(1, 64),
    generations=st.integers(2, 32),
    prompt=st.integers(1, 2048),
    completion=st.integers(1, 16384),
    batch=st.integers(64, 65536),
    kv=st.none() | st.integers(16, 200_000),
    r=st.integers(1, 256),
    problems=st.sampled_from([0, 200]),
)


def laid_out(model: str, recipe: Recipe, gib: float, *, card: bool = True, itemsize: int = 2) -> MemoryLayout:
    return layout_of(shape_named(model), MemoryRequest.of(recipe), MemoryBudget(int(gib * GIB), card, itemsize))


def grown(recipe: Recipe, field: str, value: int) -> Recipe:
    section, name = field.split(".")
    return recipe.model_copy(update={section: getattr(recipe, section).model_copy(update={name: value})})


@settings(max_examples=60)
@given(
    recipe=recipes,
    model=st.sampled_from(MODELS),
    more=st.integers(1, 100),
    field=st.sampled_from(
        ["rollout.max_completion_length", "rollout.prompts_per_step", "rollout.num_generations", "lora.r"]
    ),
    card=st.booleans(),
)
def test_more_of_anything_never_takes_less(recipe, model, more, field, card):
    """Where there is room for all: on a full device speed is given up for room."""
    recipe = grown(recipe, "rollout.kv_tokens", None)
    section, name = field.split(".")
    larger = grown(recipe, field, getattr(getattr(recipe, section), name) + more)
    assert laid_out(model, larger, 1e6, card=card).peak >= laid_out(model, recipe, 1e6, card=card).peak


@settings(max_examples=100)
@given(recipe=recipes, model=st.sampled_from(MODELS), gib=st.floats(0.5, 100), more=st.floats(1.0, 4.0))
def test_what_fits_fits_where_there_is_more(recipe, model, gib, more):
    if laid_out(model, recipe, gib).fits:
        assert laid_out(model, recipe, gib * more).fits


@settings(max_examples=100)
@given(recipe=recipes, model=st.sampled_from(MODELS), gib=st.floats(0.5, 100), card=st.booleans())
def test_the_parts_add_up_to_the_peak_and_the_choices_keep_to_the_recipe(recipe, model, gib, card):
    m, memory_request = laid_out(model, recipe, gib, card=card), MemoryRequest.of(recipe)
    weights = m.runtime + m.base + m.sampling_copy + m.adapters + m.optimizer
    assert m.peak == weights + max(m.kv_cache + m.sampling, m.stored + m.passing + m.logits)
    assert min(m.base, m.adapters, m.optimizer, m.kv_cache, m.sampling, m.stored, m.passing, m.logits) > 0
    assert 1 <= m.sequences <= memory_request.sequences
    assert m.kv_tokens <= (memory_request.kv_tokens or m.sequences * memory_request.longest_sequence)
    assert m.micro_batch_tokens <= max(memory_request.longest_sequence, recipe.optim.micro_batch_tokens)
    assert card or m.activations != "offloaded", "main memory is where it is"


def run_of(group: int = 4, prompts: int = 1, completion: int = 3584, prompt: int = 512, batch: int = 4096) -> Recipe:
    return Recipe.model_validate(
        {
            "data": {"source": "arithmetic"},
            "rollout": {
                "prompts_per_step": prompts,
                "num_generations": group,
                "max_prompt_length": prompt,
                "max_completion_length": completion,
            },
            "optim": {"micro_batch_tokens": batch},
        }
    )


SMALL = run_of(4, 8, 128, 64, 2048)


@pytest.mark.parametrize(
    ("model", "gib", "card", "recipe", "dense_copy", "sequences", "activations", "peak"),
    [
        (R1, 5.3, True, run_of(), False, 4, "recomputed", 3.74),
        (R1, 7.0, True, run_of(), True, 4, "recomputed", 6.08),
        (R1, 11, True, run_of(), True, 4, "recomputed", 6.23),
        (R1, 15, True, run_of(), True, 4, "recomputed", 6.23),
        (R1, 23, True, run_of(), True, 4, "stored", 14.81),
        (R1, 78, True, run_of(), True, 4, "stored", 16.69),
        (R1, 7.0, True, run_of(8, 8), False, 32, "recomputed", 6.55),
        ("Qwen/Qwen2.5-0.5B", 3.3, True, run_of(), True, 4, "recomputed", 2.25),
        ("7B", 22.5, True, run_of(), True, 4, "offloaded", 21.11),
        (SMOL, 1, False, SMALL, False, 32, "recomputed", 0.90),
        (SMOL, 2, False, SMALL, True, 32, "recomputed", 1.87),
        (SMOL, 24, False, SMALL, True, 32, "stored", 4.16),
        (TINY_BASE, 1, False, SMALL, True, 32, "stored", 0.21),
        (TINY_BASE, 2, False, SMALL, True, 32, "stored", 0.21),
        (TINY_BASE, 24, False, SMALL, True, 32, "stored", 0.21),
    ],
)
def test_the_table_of_cases(model, gib, card, recipe, dense_copy, sequences, activations, peak):
    """Cards of 6, 8, 12, 16, 24 and 80 GB, of 4 for the 0.5B and 24 for the 7B, less what others take; CPUs."""
    layout = laid_out(model, recipe, gib, card=card, itemsize=2 if card else 4)
    assert layout.fits
    assert (layout.dense_copy, layout.sequences, layout.activations) == (dense_copy, sequences, activations)
    assert layout.peak / GIB == pytest.approx(peak, abs=0.01)


def test_the_parts_in_the_docstring():
    """R1-Distill in 8 GB."""
    m = laid_out(R1, run_of(), 7.0)
    update = m.stored + m.passing + m.logits
    found = (m.base, m.sampling_copy, m.adapters, m.optimizer, m.kv_cache + m.sampling, update, m.peak)
    said = memory.__doc__ or ""
    figures = re.findall(r"^    \w[\w ]*? +(\d\.\d\d)", said, re.MULTILINE)
    assert [float(figure) for figure in figures] == [round(size / GIB, 2) for size in found]


def test_without_room_it_is_refused_with_what_it_needs():
    layout = laid_out(R1, run_of(), 3.0)
    assert not layout.fits
    with pytest.raises(
        NoRoom, match=r"this needs 3\.\d\d GiB of memory at least, and 3\.00 GiB are free; lower"
    ) as caught:
        refuse_too_large(layout)
    assert caught.value.exit_code == 3
    refuse_too_large(laid_out(R1, run_of(), 5.0))


def test_a_resumed_run_is_laid_out_as_it_was():
    runtime = ResolvedRuntime(
        dense_copy=False, kv_tokens=999, micro_batch_tokens=777, activations="recomputed", chunk_elements=5
    )
    layout = layout_of(read_shape(R1), MemoryRequest.of(run_of()), MemoryBudget(78 * GIB, True, 2), runtime=runtime)
    kept = (layout.dense_copy, layout.kv_tokens, layout.micro_batch_tokens, layout.activations, layout.chunk_elements)
    assert kept == (False, 999, 777, "recomputed", 5)


def test_other_layers_than_ours_keep_more_and_no_copy():
    shape = read_shape(QWEN)
    ours, theirs = (
        layout_of(replace(shape, dense=dense), MemoryRequest.of(run_of()), MemoryBudget(78 * GIB, True, 2))
        for dense in (True, False)
    )
    assert not theirs.dense_copy
    assert theirs.stored > ours.stored


@pytest.mark.parametrize(("card", "free_gib"), [("8gb", 6.6), ("12gb", 10.6), ("16gb", 14.5), ("24gb", 22)])
def test_unsloth_is_let_onto_the_cards_that_recipes_are_for(card, free_gib):
    recipe = load_recipe(RECIPES / "cards" / f"{card}.yaml")
    shape = read_shape(recipe.model.id)
    layout = layout_of(shape, MemoryRequest.of(recipe), MemoryBudget(int(free_gib * GIB), True, 2), unsloth=True)
    assert layout.fits
    assert (layout.dense_copy, layout.activations) == (False, "offloaded")


def test_what_is_only_sampled_keeps_nothing_for_a_backward_pass(make_policy):
    layout = make_policy().layout
    assert (layout.optimizer, layout.activation_bytes) == (0, 0)
    assert layout.sequences == 1


def test_a_card_holds_more_logits_at_once_and_a_little_more_memory_changes_nothing():
    assert chunk_elements(card=False, free_bytes=2**40) == CHUNK_ELEMENTS
    assert chunk_elements(card=True, free_bytes=-1) == chunk_elements(card=True, free_bytes=2**30) == CHUNK_ELEMENTS
    with_22_gib = chunk_elements(card=True, free_bytes=22 * 2**30)
    assert with_22_gib == 2**26 == chunk_elements(card=True, free_bytes=21 * 2**30)
    assert 4 * LOGIT_COPIES * with_22_gib <= 22 * 2**30 / 16
