"""A card computes what the CPU computes: tokens, log-probs, gradients, the base in 4 bits."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from model_files import SMALL, random_model
from sections import decode, logprobs_and_gradients, rollout_section
from torch.nn.attention import SDPBackend, sdpa_kernel

from tina_lite.policy import TokenBatch
from tina_lite.policy.dense.attention import can_flash
from tina_lite.policy.dense.between import AS_IT_COMES
from tina_lite.policy.dense.cache import reads_by_length
from tina_lite.policy.dense.half_sums import add_product
from tina_lite.policy.dense.linears import base_weight
from tina_lite.policy.dense.model import DenseModel
from tina_lite.policy.hf_decoder import CachedDecoder
from tina_lite.policy.native import NativePolicy
from tina_lite.rollout.sampler import Sampler

BATCH = TokenBatch(
    (tuple(range(5, 45)), (9, 10, 50)),
    ((tuple(range(60, 95)), (43, 44), (70,)), (tuple(range(100, 121)), (60, 61, 62, 63))),
)
SIZES = {**SMALL, "vocab_size": 448, "num_hidden_layers": 3, "num_key_value_heads": 2, "eos_token_id": 1}
KINDS: dict[str, dict[str, Any]] = {
    "tiny": {},
    "qwen2": {},
    "qwen3": {"head_dim": 32},
    "llama": {"attention_bias": True},
}
SIXTEEN_BITS = [torch.bfloat16, torch.float16]


@pytest.fixture(params=KINDS)
def model_id(request: pytest.FixtureRequest, tmp_path: Any) -> str:
    """The tiny base, and random models of each shape."""
    if request.param == "tiny":
        return "builtin:tiny"
    return random_model(tmp_path / "model", request.param, noise=0.3, gain=3, **{**SIZES, **KINDS[request.param]})


@pytest.fixture(autouse=True)
def float32_is_float32() -> Iterator[None]:
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32 = before


def has(dtype: torch.dtype) -> bool:
    return dtype != torch.bfloat16 or torch.cuda.is_bf16_supported(including_emulation=False)


def skip_without_flash(dtype: torch.dtype) -> None:
    if not has(dtype) or torch.cuda.get_device_capability() < (8, 0):
        pytest.skip("this card has no flash kernel in it")


def greedy(policy: NativePolicy, prompts: Any) -> list[tuple[int, ...]]:
    sampler = Sampler(policy, rollout_section(0.0, 24), seed=1, kv_tokens=512)
    return [group.completions[0].ids for group in sampler.rollout(prompts, 1, 1).groups]


def farthest(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> float:
    """The largest relative difference of a tensor."""
    assert ours.keys() == theirs.keys()
    return max(float((ours[name] - theirs[name]).norm() / theirs[name].norm()) for name in theirs)


@pytest.mark.parametrize("dense", [True, False], ids=["own layers", "transformers"])
def test_float32_is_the_cpus(make_pair: Any, make_prompts: Any, model_id: str, dense: bool) -> None:
    card, cpu = make_pair(model_id=model_id, spread=0.05, fp32=True, quantization="none")
    if not dense:
        card._dense = None
        assert isinstance(card.decoder(1, 1), CachedDecoder)
    prompts = make_prompts(card, 12)
    assert greedy(card, prompts) == greedy(cpu, prompts)
    (ours, _, our_gradients), (theirs, _, their_gradients) = (logprobs_and_gradients(p, BATCH) for p in (card, cpu))
    assert torch.allclose(ours, theirs, atol=1e-4)
    assert farthest(our_gradients, their_gradients) < 1e-3


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_16_bits_are_within_their_rounding(make_pair: Any, model_id: str, dtype: str) -> None:
    """No farther from float32 than a few times what the CPU is in the same dtype, which sums scores in float32."""
    if not has(getattr(torch, dtype)):
        pytest.skip("this card has no bfloat16")
    fields = {"model_id": model_id, "spread": 0.05, "fp32": True, "quantization": "none"}
    card, exact = make_pair(**fields, compute_dtype=dtype, cpu={"compute_dtype": "float32"})
    _, cpu = make_pair(**fields, compute_dtype=dtype)
    learnt = (logprobs_and_gradients(policy, BATCH) for policy in (card, cpu, exact))
    (ours, _, our_gradients), (theirs, _, their_gradients), (whole, _, gradients) = learnt
    assert (ours - whole).abs().mean() < 2 * (theirs - whole).abs().mean()
    assert farthest(our_gradients, gradients) < 3 * farthest(their_gradients, gradients)  # 2.5 on an H100


def test_nf4_is_the_cpus(make_pair: Any, model_id: str) -> None:
    """Quantised by each, and what the CPU quantised dequantised by both."""
    import bitsandbytes.functional as bnb

    card, cpu = make_pair(model_id=model_id)
    linears = dict(cpu.causal_lm.named_modules())
    quantised = [(name, module) for name, module in card.causal_lm.named_modules() if hasattr(module, "base_layer")]
    assert quantised
    for name, module in quantised:
        ours, theirs = base_weight(module).cpu().float(), base_weight(linears[name]).float()
        other_code = (ours - theirs).abs() > 1e-2 * theirs.abs().max()  # a weight between two codes may go to either
        assert other_code.float().mean() < 1e-3, name
        assert (ours - theirs)[~other_code].norm() < 1e-3 * theirs.norm(), name
    weight = torch.randn(256, 512, generator=torch.Generator().manual_seed(0))
    packed, state = bnb.quantize_4bit(weight, quant_type="nf4", compress_statistics=True)
    here = bnb.dequantize_4bit(packed, state)
    state.to(torch.device("cuda"))
    there = bnb.dequantize_4bit(packed.cuda(), state).cpu()
    assert torch.allclose(there, here, rtol=1e-6, atol=0)


@pytest.mark.parametrize("dtype", [*SIXTEEN_BITS, torch.float32], ids=str)
def test_no_attention_of_rollout_or_update_runs_in_the_math_kernel(
    make_policy: Any, make_prompts: Any, dtype: torch.dtype
) -> None:
    if not has(dtype):
        pytest.skip("this card has no bfloat16")
    policy = make_policy(compute_dtype=str(dtype).removeprefix("torch."), spread=0.05)
    with sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.CUDNN_ATTENTION]):
        greedy(policy, make_prompts(policy, 12))
        logprobs_and_gradients(policy, BATCH)


@pytest.mark.parametrize("dtype", SIXTEEN_BITS, ids=str)
@pytest.mark.parametrize("head_dim", [64, 128])
def test_attention_over_a_shared_prompt_needs_no_mask(dtype: torch.dtype, head_dim: int) -> None:
    skip_without_flash(dtype)
    assert can_flash(torch.device("cuda"), dtype, head_dim)


@pytest.mark.parametrize(
    "base",
    [{}, {"dense_copy": False}, {"in_4_bits": ("gate_up", "down")}],
    ids=["dense copy", "dequantised", "in 4 bits"],
)
def test_replayed_steps_draw_what_others_draw(make_policy: Any, make_prompts: Any, base: dict[str, Any]) -> None:
    policy = make_policy(spread=0.05)
    policy._dense = DenseModel(policy.causal_lm, policy.dtype, **base)
    prompts = make_prompts(policy, 5)
    replaying, other = policy.decoder(5, 512), policy.decoder(5, 512)
    other._cuda_graphs = None
    assert decode(replaying, prompts, 150) == decode(other, prompts, 150)
    assert replaying._cuda_graphs._graphs


@pytest.mark.parametrize("dtype", SIXTEEN_BITS, ids=str)
@pytest.mark.parametrize("width", [64, 128])
def test_a_decode_step_reads_of_each_sequence_what_is_there(dtype: torch.dtype, width: int) -> None:
    skip_without_flash(dtype)
    assert reads_by_length(torch.device("cuda"), dtype, width)


def test_what_is_between_products_is_compiled(make_policy: Any) -> None:
    pytest.importorskip("triton")
    assert make_policy()._dense.between is not AS_IT_COMES  # which is not chosen where it comes to other values


@torch.no_grad()
def test_sums_in_float16_are_about_those_of_bfloat16() -> None:
    skip_without_flash(torch.bfloat16)
    x, weight = (torch.randn(rows, 1536, device="cuda", dtype=torch.bfloat16) for rows in (600, 512))
    x[:, 3] *= 1000
    found = add_product(x.new_zeros(600, 512), x, weight).double()
    wanted, rounded = x.double() @ weight.double().T, (x @ weight.T).double()
    assert (found - wanted).norm() < 2 * (rounded - wanted).norm()


@torch.no_grad()
def test_products_in_4_bits_are_those_of_the_dequantised_weights(make_policy: Any) -> None:
    policy = make_policy(spread=0.05)
    x = torch.randn(24, policy.causal_lm.config.hidden_size, device="cuda", dtype=policy.dtype)
    dense = DenseModel(policy.causal_lm, policy.dtype, dense_copy=False)
    wanted = [layer.gate_up(x).float() for layer in dense.layers]
    ours = DenseModel(policy.causal_lm, policy.dtype, in_4_bits=("gate_up",))
    for layer, one in zip(ours.layers, wanted, strict=True):
        assert (layer.gate_up(x) - one).norm() < 0.01 * one.norm()
