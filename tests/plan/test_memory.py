"""Memory by part: against tensors of those shapes, against bitsandbytes, and by what must never go down."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tina_lite.plan import read_shape
from tina_lite.plan.device import GIB, Device
from tina_lite.plan.memory import NF4_TABLES, Memory, base_bytes, memory_of, nf4_bytes
from tina_lite.plan.model_config import shipped_models
from tina_lite.plan.work import Work
from tina_lite.policy.model_folder import TINY_BASE
from tina_lite.recipe import Recipe

QWEN = "Qwen/Qwen2.5-1.5B"
MODELS = (TINY_BASE, *shipped_models())


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
    """In bfloat16 with a gradient, and masters with theirs and two moments in float32."""
    policy = make_policy()
    trained = sum(parameter.numel() for parameter in policy.trainable().values())
    shape = read_shape(TINY_BASE)
    assert shape.lora_parameters(8, WHOLE) == trained
    planned = plan(TINY_BASE, Recipe.model_validate({"data": {"source": "arithmetic"}, "lora": {"r": 8}}), 64)
    assert (planned.adapters, planned.optimizer) == (4 * trained, 16 * trained)


WHOLE = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def plan(model: str, recipe: Recipe, vram_gib: float, **changes) -> Memory:
    fields = {"name": "", "card": True, "memory": int(vram_gib * GIB), "dtype": "bfloat16", "flops": 1.0}
    device = Device(**{**fields, "attention_flops": 1.0, "bandwidth": 1.0, "call_s": 1.0, **changes})
    return memory_of(
        read_shape(model),
        Work.of(recipe),
        device,
        quantization=recipe.model.quantization,
        r=recipe.lora.r,
        target_modules=recipe.lora.target_modules,
    )


def grown(recipe: Recipe, field: str, value: int) -> Recipe:
    section, name = field.split(".")
    return recipe.model_copy(update={section: getattr(recipe, section).model_copy(update={name: value})})


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


@settings(max_examples=60, deadline=None)
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
    """Where there is room for all: on a full device the engine gives up speed for room."""
    recipe = grown(recipe, "rollout.kv_tokens", None)
    section, name = field.split(".")
    larger = grown(recipe, field, getattr(getattr(recipe, section), name) + more)
    roomy = 1e6
    assert plan(model, larger, roomy, card=card).peak >= plan(model, recipe, roomy, card=card).peak


@settings(max_examples=100, deadline=None)
@given(recipe=recipes, model=st.sampled_from(MODELS), vram=st.floats(0.5, 100), more=st.floats(1.0, 4.0))
def test_what_fits_a_card_fits_a_larger_one(recipe, model, vram, more):
    if plan(model, recipe, vram).peak <= vram * GIB:
        assert plan(model, recipe, vram * more).peak <= vram * more * GIB


@settings(max_examples=60, deadline=None)
@given(recipe=recipes, model=st.sampled_from(MODELS), vram=st.floats(0.5, 100), card=st.booleans())
def test_the_peak_holds_every_part_that_is_there_at_once(recipe, model, vram, card):
    m = plan(model, recipe, vram, card=card)
    held = m.runtime + m.base + m.sampling_copy + m.adapters + m.optimizer
    assert m.peak >= held + max(m.kv_cache + m.sampling, m.activations)
    assert min(m.runtime, m.base, m.adapters, m.optimizer, m.kv_cache, m.sampling, m.activations) > 0


def test_plenty_and_want_of_memory_choose_as_the_engine_does(recipe_with):
    recipe = recipe_with()
    roomy, tight = plan(QWEN, recipe, 80), plan(QWEN, recipe, 5)
    assert (roomy.resident, roomy.recompute) == (True, False)
    assert (tight.resident, tight.recompute) == (False, True)
    assert roomy.sampling_copy > 2 * read_shape(QWEN).linear_weights > tight.sampling_copy
