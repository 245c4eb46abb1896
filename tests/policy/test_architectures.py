"""The dense copy computes what transformers computes, for every architecture that it claims, base and gradients."""

from dataclasses import replace

import pytest
import torch
from model_files import SMALL, random_model
from sections import logprobs_and_gradients

from tina_lite.policy import TokenBatch
from tina_lite.policy.dense.model import ARCHITECTURES, DenseModel, fits
from tina_lite.policy.hf_decoder import CachedDecoder

BATCH = TokenBatch(
    prompts=((5, 6, 7, 30, 31), (9, 10, 50), (11, 12, 13, 14)),
    completions=(((40, 41, 42), (43, 44, 45, 46, 47, 48, 49)), ((60, 61, 62, 63, 64, 65),), ((70,), (71, 72))),
)
SIZES = {**SMALL, "vocab_size": 384, "num_hidden_layers": 3, "num_key_value_heads": 2}
OTHERS = {"mistral": {"sliding_window": None}, "qwen3": {"head_dim": 32}}


@pytest.fixture
def folder(tmp_path, request):
    """A model folder with random weights, norms and biases included."""
    model_type, changes = request.param
    return random_model(tmp_path, model_type, noise=0.2, **{**SIZES, **OTHERS.get(model_type, {}), **changes})


def of(model_type, **changes):
    return pytest.param((model_type, changes), id="-".join([model_type, *changes]))


@pytest.fixture
def policy(folder, make_policy):
    return make_policy(model_id=folder, spread=0.1, fp32=True)


def agree(ours, theirs):
    assert torch.allclose(ours[0], theirs[0], atol=1e-4)
    assert torch.allclose(ours[1], theirs[1], atol=1e-4)
    for name, gradient in theirs[2].items():
        assert (ours[2][name] - gradient).norm() <= 1e-4 * gradient.norm(), name
        assert gradient.norm() > 0, name


@pytest.mark.parametrize("folder", [of(name) for name in sorted(ARCHITECTURES)], indirect=True)
def test_logprobs_and_gradients_equal_those_of_transformers(policy):
    assert policy.shares_prompts
    ours = logprobs_and_gradients(policy, BATCH)
    policy._dense = None  # the generic way: transformers' own forward pass, each prompt once a completion
    agree(ours, logprobs_and_gradients(policy, BATCH))


@pytest.mark.parametrize("folder", [of(name) for name in sorted(ARCHITECTURES)], indirect=True)
def test_decoding_equals_that_of_transformers(policy):
    prompts = [list(prompt) for prompt in BATCH.prompts]
    tokens = [torch.tensor(row) for row in ([40, 60, 70], [41, 61, 71], [42, 62, 72])]
    seen = []
    for decoder in (policy.decoder(3, 32), CachedDecoder(policy.model.get_base_model())):
        prefixes = decoder.prefill(prompts)
        decoder.admit(prefixes)
        logits = [torch.stack([prefix.logits for prefix in prefixes]), *(decoder.step(row) for row in tokens)]
        seen.append(torch.stack(logits))
    assert torch.allclose(*seen, atol=1e-3)


@pytest.mark.parametrize("activations", ["recomputed", "offloaded"])
@pytest.mark.parametrize("folder", [of("llama")], indirect=True)
def test_short_of_memory_nothing_changes_but_the_speed(policy, activations):
    """Weights dequantised at each use, and layers computed again in the backward pass, from wherever they were kept."""
    roomy = logprobs_and_gradients(policy, BATCH)
    prefix = policy.decoder(1, 32).prefill([list(BATCH.prompts[0])])[0]
    policy.layout = replace(policy.layout, activations=activations)
    policy._dense = DenseModel(policy.model.get_base_model(), torch.float32, dense_copy=False)
    assert all(linear._weight is None for layer in policy._dense.layers for linear in layer.linears)
    agree(logprobs_and_gradients(policy, BATCH), roomy)
    assert torch.allclose(policy.decoder(1, 32).prefill([list(BATCH.prompts[0])])[0].logits, prefix.logits, atol=1e-4)


@pytest.mark.parametrize(
    "folder", [of("mistral", sliding_window=16), of("llama", hidden_act="gelu"), of("gpt_neox")], indirect=True
)
def test_what_the_dense_copy_does_not_know_goes_the_generic_way(folder, make_policy, request):
    targets = ("query_key_value",) if "gpt_neox" in request.node.name else ("q_proj", "v_proj")
    policy = make_policy(model_id=folder, target_modules=targets)
    assert not fits(policy.model.get_base_model())
    assert not policy.shares_prompts
    assert isinstance(policy.decoder(1, 32), CachedDecoder)
    with torch.no_grad():
        logprobs, _ = policy.logprobs(BATCH, 1.0)
        row = torch.tensor([[*BATCH.prompts[2], *BATCH.completions[2][1]]])
        expected = policy.model(input_ids=row).logits[0].log_softmax(-1)[3:-1].gather(1, row[0, 4:, None])[:, 0]
    assert torch.allclose(logprobs[-1, :2], expected, atol=1e-4)
