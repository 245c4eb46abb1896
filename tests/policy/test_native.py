"""The native engine: the base is really in NF4 and really frozen, gradients are right, both decoders agree."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from sections import decode, rollout_section

from tina_lite.policy import TokenBatch
from tina_lite.policy.dense.linears import base_weight
from tina_lite.policy.hf_decoder import CachedDecoder
from tina_lite.policy.lm_head import Head, token_logprobs
from tina_lite.policy.model_folder import model_folder
from tina_lite.policy.pretrained import load_tokenizer
from tina_lite.rollout.sampler import Sampler
from tina_lite.util.errors import BadInput

BATCH = TokenBatch(
    prompts=((5, 6, 7, 30, 31), (9, 10, 50), (11, 12, 13, 14)),
    completions=(((40, 41, 42), (43, 44, 45, 46, 47, 48, 49)), ((60, 61, 62, 63, 64, 65),), ((70,), (71, 72))),
)


def linear_layers(policy):
    """The modules that quantisation covers: every Linear of the base but the head, which shares the embedding."""
    modules = policy.model.get_base_model().named_modules()
    return {name: m for name, m in modules if name.endswith("_proj.base_layer")}


def dense_copy(policy):
    """The same function without bitsandbytes, in float32: a plain model, dequantised, with the same adapters."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    plain = AutoModelForCausalLM.from_pretrained(policy.base_name, dtype=torch.float32)
    quantised = dict(policy.model.get_base_model().named_modules())
    for name, module in plain.named_modules():
        if name.endswith("_proj"):
            module.weight.data.copy_(base_weight(quantised[name]))
    config = policy.model.peft_config["default"]
    targets = sorted(config.target_modules)
    reference = get_peft_model(plain, LoraConfig(r=config.r, lora_alpha=config.lora_alpha, target_modules=targets))
    adapters = policy.trainable()
    for name, parameter in reference.named_parameters():
        if parameter.requires_grad:
            parameter.data = adapters[name].detach().float()
    return reference.eval()


def reference_logprobs(model, batch):
    """The plain formula: all logits, log_softmax, gather."""
    picked = []
    for prompt, completion in batch.sequences:
        ids = torch.tensor([*prompt, *completion])
        logprobs = model(input_ids=ids[None]).logits[0].float().log_softmax(-1)
        picked.append(logprobs[len(prompt) - 1 : -1].gather(1, ids[len(prompt) :, None])[:, 0])
    return torch.cat(picked)


def test_every_covered_linear_is_four_bit_and_adapters_are_bf16(make_policy):
    import bitsandbytes as bnb

    policy = make_policy()
    layers = linear_layers(policy)
    assert len(layers) == 4 * 7
    for layer in layers.values():
        assert isinstance(layer, bnb.nn.Linear4bit)
        assert layer.weight.dtype == torch.uint8
        assert layer.weight.quant_state.quant_type == "nf4"
    assert {tensor.dtype for tensor in policy.trainable().values()} == {torch.bfloat16}
    assert all("lora_" in name for name in policy.trainable())


def test_gradients_after_sampling_equal_those_of_the_dequantised_reference(make_policy, make_prompts):
    """bitsandbytes 0.50 on a CPU with AVX512-bf16 breaks this in silence once a layer was used for sampling."""
    policy = make_policy(spread=0.05)
    decoder = CachedDecoder(policy.model.get_base_model())  # runs the 4-bit layers themselves, in eval mode
    decoder.admit(decoder.prefill([prompt.ids for prompt in make_prompts(policy, 3)]))
    decoder.step(torch.tensor([40, 41, 42]))
    batch = BATCH
    with policy.training():
        logprobs, _ = policy.logprobs(batch, 1.0)
    logprobs.sum().backward()
    reference = dense_copy(policy)
    reference_logprobs(reference, batch).sum().backward()
    expected = {name: p.grad for name, p in reference.named_parameters() if p.requires_grad}
    for name, tensor in policy.trainable().items():
        cosine = torch.cosine_similarity(tensor.grad.float().flatten(), expected[name].float().flatten(), dim=0)
        assert cosine > 0.999, name
        assert torch.allclose(tensor.grad.float().norm(), expected[name].float().norm(), rtol=0.02), name


def test_logprobs_equal_the_plain_formula_and_padding_does_not_matter(make_policy):
    policy = make_policy(spread=0.05)
    batch = BATCH
    with torch.no_grad():
        logprobs, entropies = policy.logprobs(batch, 1.0)
        expected = reference_logprobs(dense_copy(policy), batch)
        alone, _ = policy.logprobs(TokenBatch(batch.prompts[2:], batch.completions[2:]), 1.0)
    assert torch.allclose(logprobs[batch.completion_mask()], expected, atol=2e-4)
    assert (logprobs[~batch.completion_mask()] == 0).all()
    assert (entropies[batch.completion_mask()] > 0).all()
    assert torch.allclose(alone[0, 0], logprobs[3, 0], atol=1e-5)


def test_the_reference_is_the_base_without_the_adapter(make_policy):
    batch = BATCH
    with torch.no_grad():
        moved, _ = make_policy(spread=0.05).logprobs(batch, 1.0, adapter=False)
        fresh, _ = make_policy().logprobs(batch, 1.0)
    assert torch.equal(moved, fresh)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("rows_at_once", [0, 1, 3, 10])
def test_chunked_logprobs_and_their_gradient_against_float64(rows_at_once, temperature):
    torch.manual_seed(0)
    hidden, head = torch.randn(10, 8, dtype=torch.float64), torch.randn(50, 8, dtype=torch.float64)
    targets, upstream = torch.randint(50, (10,)), torch.randn(10)
    ours, plain = (hidden.float().requires_grad_(), hidden.clone().requires_grad_())
    values, entropies = token_logprobs(ours, Head(head.float()), targets, temperature, rows_at_once * 50)
    (values * upstream).sum().backward()
    logprobs = (plain @ head.T / temperature).log_softmax(-1)
    expected = logprobs[torch.arange(10), targets]
    (expected * upstream).sum().backward()
    assert torch.allclose(values.double(), expected, atol=1e-5)
    assert torch.allclose(entropies.double(), -(logprobs.exp() * logprobs).sum(-1), atol=1e-5)
    assert torch.allclose(ours.grad.double(), plain.grad, atol=1e-5)


def test_the_decoders_agree_while_rows_leave_and_enter(make_policy, make_prompts):
    policy = make_policy(spread=0.05)
    prompts = make_prompts(policy, 5)
    ours = decode(policy.decoder(5, 128), prompts)
    assert ours == decode(CachedDecoder(policy.model.get_base_model()), prompts)
    assert ours != decode(make_policy().decoder(5, 128), prompts), "the adapter makes no difference"


def test_sync_brings_the_sampling_weights_up_to_date(make_policy, make_prompts):
    policy, other = make_policy(), make_policy(spread=0.05)
    prompts = make_prompts(policy, 5)
    for name, tensor in policy.trainable().items():
        tensor.data.copy_(other.trainable()[name])
    assert decode(policy.decoder(5, 128), prompts) != decode(other.decoder(5, 128), prompts)
    policy.sync()
    assert decode(policy.decoder(5, 128), prompts) == decode(other.decoder(5, 128), prompts)


ELSEWHERE = """
import json, sys, torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig
folder, prompts = sys.argv[1], json.loads(sys.argv[2])
base = json.load(open(f"{folder}/adapter_config.json"))["base_model_name_or_path"]
config = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
                            bnb_4bit_compute_dtype=torch.float32)
model = AutoModelForCausalLM.from_pretrained(base, quantization_config=config, dtype=torch.float32, device_map="cpu")
for module in model.modules():
    if hasattr(module, "support_avx512bf16_for_cpu"):
        module.support_avx512bf16_for_cpu = False  # else bitsandbytes computes in bf16 on such a CPU, not in fp32
model = PeftModel.from_pretrained(model, folder).eval()
tokenizer = AutoTokenizer.from_pretrained(folder)
for prompt in prompts:
    ids = tokenizer(prompt, add_special_tokens=False, return_tensors="pt").input_ids
    out = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=24, do_sample=False)
    print(json.dumps(tokenizer.decode(out[0, ids.shape[1]:], skip_special_tokens=True)))
"""


@pytest.mark.slow
def test_the_saved_adapter_gives_the_same_greedy_text_in_another_process(make_policy, make_prompts, tmp_path):
    policy = make_policy(spread=0.05)
    prompts = make_prompts(policy, 6)
    policy.save_adapter(tmp_path)
    sampler = Sampler(policy, rollout_section(0.0, 24), seed=1, kv_tokens=4096)
    ours = [group.completions[0].text for group in sampler.rollout(prompts, 1, 1).groups]
    command = [sys.executable, "-c", ELSEWHERE, str(tmp_path), json.dumps([prompt.text for prompt in prompts])]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert [json.loads(line) for line in out.splitlines() if line.startswith('"')] == ours
    assert len(set(ours)) > 1


def test_an_unknown_model_is_one_clear_line(tmp_path):
    with pytest.raises(BadInput, match="not a model folder"):
        load_tokenizer(str(tmp_path))
    with pytest.raises(BadInput, match="--model FOLDER"):
        load_tokenizer("no-such-owner/no-such-model")
    with pytest.raises(BadInput, match="builtin:tiny"):
        load_tokenizer("builtin:tinny")


def test_target_modules_that_fit_nothing_name_those_that_would(make_policy):
    with pytest.raises(BadInput, match="q_proj"):
        make_policy(target_modules=("query",))


def test_without_quantisation_the_base_is_plain(make_policy):
    layers = linear_layers(make_policy(quantization="none"))
    assert {layer.weight.dtype for layer in layers.values()} == {torch.float32}


def test_the_tiny_base_keeps_its_promises():
    folder = Path(model_folder("builtin:tiny"))
    config = json.loads((folder / "config.json").read_text())
    assert (folder / "model.safetensors").stat().st_size <= 6_000_000
    for width in ("hidden_size", "intermediate_size", "vocab_size"):
        assert config[width] % 64 == 0
    assert (folder / "README.md").exists()


def test_saving_asks_nobody_on_the_network(make_policy, tmp_path, monkeypatch):
    """peft looks whether the base's config.json is on the hub, unless it is told what to do about embeddings."""
    from peft.utils import save_and_load

    def asked(*arguments: object, **others: object) -> bool:
        raise AssertionError("the hub was asked")

    policy = make_policy()
    policy.model.peft_config["default"].base_model_name_or_path = "somebody/a-model"
    monkeypatch.setattr(save_and_load, "check_file_exists_on_hf_hub", asked)
    policy.save_adapter(tmp_path)
    assert (tmp_path / "adapter_model.safetensors").exists()


def test_python_that_comes_with_a_model_is_not_run_nor_asked_about(tmp_path, monkeypatch):
    """transformers would ask on the terminal whether to, and a line that is piped in would answer it."""
    import builtins
    import json
    import shutil
    from contextlib import suppress

    from tina_lite.policy.pretrained import load_tokenizer, read_config
    from tina_lite.util.errors import BadInput

    folder = tmp_path / "model"
    shutil.copytree(model_folder("builtin:tiny"), folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    (folder / "its_own.py").write_text(f"open({str(tmp_path / 'was-run')!r}, 'w')\n")
    for name, key in (("config.json", "AutoConfig"), ("tokenizer_config.json", "AutoTokenizer")):
        path = folder / name
        settings = json.loads(path.read_text()) if path.exists() else {}
        entry = "its_own.Config" if key == "AutoConfig" else ["its_own.Tokenizer", "its_own.Tokenizer"]
        path.write_text(json.dumps({**settings, "model_type": "unheard-of", "auto_map": {key: entry}}))
    monkeypatch.setattr(builtins, "input", lambda *prompt: pytest.fail("a question was asked"))
    with pytest.raises(BadInput):
        read_config(str(folder))
    with suppress(BadInput):  # it may do without
        load_tokenizer(str(folder))
    assert not (tmp_path / "was-run").exists()
