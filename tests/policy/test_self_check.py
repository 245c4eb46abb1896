"""The learner scores the model that samples, for every architecture that is let in; others are refused in a line."""

import pytest
import torch
from model_files import SMALL, random_model

from tina_lite.policy import TokenBatch, self_check
from tina_lite.policy import native as portable_module
from tina_lite.policy.dense.autograd_ops import adapted_linear
from tina_lite.policy.lm_head import Head, token_logprobs
from tina_lite.policy.self_check import refuse_changing_rope
from tina_lite.util.errors import BadInput

SIZES = {**SMALL, "vocab_size": 384, "num_key_value_heads": 2, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
LLAMA = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
PHI3 = ("qkv_proj", "o_proj", "gate_up_proj", "down_proj")
KINDS = {
    "llama": ({}, LLAMA),
    "mistral": ({"sliding_window": 16}, LLAMA),
    "qwen2": ({}, LLAMA),
    "qwen3": ({"head_dim": 16}, LLAMA),
    "granite": ({"logits_scaling": 8.0, "embedding_multiplier": 12.0, "residual_multiplier": 0.2}, LLAMA),
    "cohere": ({"logit_scale": 0.0625}, LLAMA),
    "gemma2": ({"head_dim": 16, "final_logit_softcapping": 3.0, "sliding_window": 16}, LLAMA),
    "gemma3_text": ({"head_dim": 16, "sliding_window": 16}, LLAMA),
    "phi": ({}, ("q_proj", "k_proj", "v_proj", "dense", "fc1", "fc2")),
    "phi3": ({}, PHI3),
    "olmo2": ({}, LLAMA),
    "gpt_neox": ({}, ("query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h")),
}
BATCH = TokenBatch(
    prompts=(tuple(range(5, 35)), (9, 10, 50)),
    completions=(((40, 41, 42), (43, 44, 45, 46, 47, 48, 49)), ((60, 61, 62, 63, 64, 65),)),
)


def model_of(kind: str, folder, **changes):
    """With weights large enough for logits that differ, and biases that are not 0."""
    return random_model(folder, kind, noise=0.5, gain=4, **{**SIZES, **KINDS[kind][0], **changes})


def as_sampled(policy) -> torch.Tensor:
    """Log-probs of the batch's completions by the sampler's decoder, row by row."""
    found = []
    for prompt, completion in BATCH.sequences:
        logits = self_check._as_sampled(policy, list(prompt), list(completion))
        found.append(logits.log_softmax(-1).gather(1, torch.tensor(completion)[:, None])[:, 0])
    return torch.cat(found)


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_learner_sampler_and_the_models_own_forward_agree(kind, tmp_path, make_policy):
    """Prompts are longer than the window, the adapter acts, and dropout is off."""
    policy = make_policy(
        model_id=model_of(kind, tmp_path), target_modules=KINDS[kind][1], spread=0.1, quantization="none", fp32=True
    )
    scored = policy.logprobs(BATCH, 1.0)[0][BATCH.completion_mask()]
    own = []
    for prompt, completion in BATCH.sequences:
        logits = policy.causal_lm(torch.tensor([[*prompt, *completion]])).logits[0, len(prompt) - 1 : -1]
        own.append(logits.log_softmax(-1).gather(1, torch.tensor(completion)[:, None])[:, 0])
    assert torch.allclose(scored, torch.cat(own), atol=1e-4)
    assert torch.allclose(scored, as_sampled(policy), atol=1e-4)
    assert scored.std() > 0.03, "logits that are all alike would agree whatever is done to them"


@pytest.mark.parametrize("kind", ["granite", "cohere", "gemma2", "phi"])
def test_what_a_head_adds_is_seen_where_it_is_not_known(kind, tmp_path, make_policy, monkeypatch):
    """The check that is made on loading can fail: by the plain product each of them is refused."""
    monkeypatch.setattr(portable_module.Head, "of", lambda model: Head(model.get_output_embeddings().weight.detach()))
    with pytest.raises(BadInput, match=rf"this model \({kind}\) has log-probs in the learner that are \S+ nats"):
        make_policy(model_id=model_of(kind, tmp_path), target_modules=KINDS[kind][1], quantization="none")


@pytest.mark.parametrize(
    "head",
    [
        Head(torch.randn(50, 8, dtype=torch.float64), torch.randn(50, dtype=torch.float64), 0.3, None),
        Head(torch.randn(50, 8, dtype=torch.float64), None, 2.0, 1.5),
        Head(torch.randn(50, 8, dtype=torch.float64), torch.randn(50, dtype=torch.float64), 1.0, 30.0),
    ],
)
def test_the_gradient_through_scale_bias_and_cap_is_that_of_autograd(head):
    generator = torch.Generator().manual_seed(3)
    hidden = torch.randn(7, 8, dtype=torch.float64, generator=generator)
    targets = torch.randint(0, 50, (7,), generator=generator)
    weights = torch.linspace(-1, 1, 7)
    grads = []
    for ours in (True, False):
        h = hidden.clone().requires_grad_()
        if ours:
            values, entropies = token_logprobs(h, head, targets, 0.7, 1000)
        else:
            logits = h @ head.weight.T if head.bias is None else h @ head.weight.T + head.bias
            logits = logits * head.scale
            logits = logits if head.softcap is None else torch.tanh(logits / head.softcap) * head.softcap
            table = (logits / 0.7).log_softmax(-1)
            values, entropies = table.gather(1, targets[:, None])[:, 0].float(), -(table.exp() * table).sum(-1).float()
        (values * weights).sum().backward()
        grads.append((h.grad, values.detach(), entropies.detach()))
    for one, other in zip(*grads, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        (("q_proj", "lm_head"), "lm_head cannot be trained, embedding and head stay frozen; this model has down_proj"),
        (("q_proj", "embed_tokens"), "embed_tokens cannot be trained"),
        (("q_proj", "qkv_proj"), r"qkv_proj fit no layer of this model \(llama\); it has down_proj, gate_proj, k_proj"),
    ],
)
def test_targets_that_would_be_dropped_in_silence_are_refused(make_policy, targets, said):
    with pytest.raises(BadInput, match=said):
        make_policy(target_modules=targets)


def test_the_defaults_on_a_model_with_fused_projections_are_refused_with_its_own(tmp_path, make_policy):
    with pytest.raises(BadInput, match="it has down_proj, gate_up_proj, o_proj, qkv_proj"):
        make_policy(model_id=model_of("phi3", tmp_path))


@pytest.mark.parametrize("kind", ["dynamic", "longrope"])
def test_a_rope_that_changes_with_the_length_is_refused_beyond_it(kind):
    from types import SimpleNamespace

    config = SimpleNamespace(
        rope_parameters={"rope_type": kind, "original_max_position_embeddings": 4096}, max_position_embeddings=131072
    )
    refuse_changing_rope(config, 4096)
    with pytest.raises(BadInput, match=rf"its positions \({kind}\) change beyond 4096 tokens"):
        refuse_changing_rope(config, 4097)
    refuse_changing_rope(SimpleNamespace(rope_parameters={"rope_type": "llama3"}, max_position_embeddings=8), 10_000)
    refuse_changing_rope(SimpleNamespace(rope_parameters=None, max_position_embeddings=8), 10_000)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@torch.no_grad()
def test_a_step_of_1e_5_reaches_the_sampler_as_it_reaches_the_learner(dtype, tmp_path, make_policy):
    """At SmolLM2's widths. Rounded into a bfloat16 weight, or added to a rounded product, a few per cent are left."""
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    sizes = {**SIZES, "hidden_size": 576, "intermediate_size": 1536, "num_attention_heads": 9, "num_key_value_heads": 3}
    AutoModelForCausalLM.from_config(AutoConfig.for_model("llama", **sizes)).save_pretrained(tmp_path)
    policy = make_policy(model_id=str(tmp_path), compute_dtype=dtype, quantization="none", r=16, alpha=32)
    linear = policy._dense.layers[0].qkv
    x = torch.randn(1024, 576, generator=torch.Generator().manual_seed(2)).to(linear.weight.dtype)
    before = linear(x).double(), adapted_linear(x, linear).double()
    for name, tensor in policy.trainable().items():
        if "lora_B" in name:  # peft's 0; Adam's first step moves each entry by the learning rate
            tensor.data.copy_(torch.randn(tensor.shape, generator=torch.Generator().manual_seed(1)).sign() * 1e-5)
    policy.sync()
    down, up = (part.double() for part in linear.adapter())
    effect = x.double() @ down.T @ up.T
    for old, new in zip(before, (linear(x), adapted_linear(x, linear)), strict=True):
        projection = float(((new.double() - old) * effect).sum() / effect.square().sum())
        assert projection == pytest.approx(1.0, abs=0.1)


@torch.no_grad()
def test_a_processor_without_instructions_for_16_bits_does_without_the_packed_layout(make_policy, monkeypatch):
    from tina_lite.policy.dense import linears as dense

    expected = make_policy(compute_dtype="bfloat16", spread=0.05).logprobs(BATCH, 1.0)[0]
    monkeypatch.setattr(dense, "_is_known", lambda dtype: False)
    policy = make_policy(compute_dtype="bfloat16", spread=0.05)
    assert all(linear._packed is None for layer in policy._dense.layers for linear in layer.linears)
    mask = BATCH.completion_mask()
    assert torch.allclose(policy.logprobs(BATCH, 1.0)[0], expected)
    assert torch.allclose(as_sampled(policy), expected[mask], atol=0.2)


def test_what_the_library_refuses_is_found_out_by_trying(monkeypatch):
    from tina_lite.policy.dense import linears as dense

    def refuses(weight: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("mkldnn_reorder_linear_weight: bf16 path needs the cpu support avx512bw")

    monkeypatch.setattr(dense, "packed", refuses)
    dense._is_known.cache_clear()
    assert not dense.can_pack(torch.ones(16, 16, dtype=torch.bfloat16))
    dense._is_known.cache_clear()


def test_what_bfloat16_rounds_is_no_disagreement(tmp_path, make_policy):
    """A deep model with sharp logits and an unlikely text: SmolLM2 was 0.17 nats off, of 16."""
    make_policy(model_id=model_of("llama", tmp_path, num_hidden_layers=16), compute_dtype="bfloat16")
