"""What only a CUDA card can show; skipped elsewhere."""

import json
from pathlib import Path

import pytest
import torch
from sections import rollout_section

from tina_lite import Recipe, run
from tina_lite.policy import TokenBatch
from tina_lite.policy.free_memory import free_bytes
from tina_lite.policy.generic import CachedDecoder
from tina_lite.runs.peak_memory import PeakMemory
from tina_lite.sampler import Sampler

pytestmark = [
    pytest.mark.slow,
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card"),
]

BATCH = TokenBatch(((5, 6, 7, 30, 31), (9, 10, 50)), (((40, 41, 42), (43, 44)), ((60, 61, 62, 63),)))


def test_the_dense_copy_computes_on_the_card_what_transformers_computes(make_policy, make_prompts) -> None:
    policy = make_policy(spread=0.05)
    assert policy.device.type == "cuda"
    prompts = make_prompts(policy, 12)
    greedy = Sampler(policy, rollout_section(0.0, 24), seed=1, kv_tokens=512)
    ours = [group.completions[0].ids for group in greedy.rollout(prompts, 1, 1).groups]
    with torch.no_grad():
        logprobs, _ = policy.logprobs(BATCH, 1.0)
        dense, policy._dense = policy._dense, None
        theirs, _ = policy.logprobs(BATCH, 1.0)
    assert isinstance(policy.decoder(1, 1), CachedDecoder)
    assert [group.completions[0].ids for group in greedy.rollout(prompts, 1, 1).groups] == ours
    assert torch.allclose(logprobs, theirs, atol=1e-3)
    assert dense is not None


def test_gradients_are_those_of_transformers(make_policy) -> None:
    policy = make_policy(spread=0.05, fp32=True)
    gradients = []
    for _ in range(2):
        for tensor in policy.trainable().values():
            tensor.grad = None
        with policy.training():
            policy.logprobs(BATCH, 1.0)[0].sum().backward()
        gradients.append({name: tensor.grad.clone() for name, tensor in policy.trainable().items()})
        policy._dense = None
    for name, gradient in gradients[1].items():
        assert (gradients[0][name] - gradient).norm() <= 1e-2 * gradient.norm(), name


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("head_dim", [64, 128])
def test_attention_over_a_shared_prompt_needs_no_mask(dtype, head_dim) -> None:
    from tina_lite.policy.shared_prompt import can_flash

    if dtype == torch.bfloat16 and not torch.cuda.is_bf16_supported(including_emulation=False):
        pytest.skip("this card has no bfloat16")
    assert can_flash(torch.device("cuda"), dtype, head_dim)


def test_a_cap_on_the_process_is_what_is_free() -> None:
    total = torch.cuda.mem_get_info()[1]
    torch.cuda.set_per_process_memory_fraction(0.5)
    try:
        assert free_bytes(torch.device("cuda")) <= total // 2
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def test_a_phase_sees_what_it_took() -> None:
    peaks = PeakMemory.of_this_process()
    with peaks.phase("update"):
        torch.empty(64 * 1024**2, dtype=torch.uint8, device="cuda")
    assert peaks.metrics()["peak_bytes/update"] >= 64 * 1024**2


def test_a_run_on_the_card_learns_from_what_it_samples(quick_recipe: Path, tmp_path: Path) -> None:
    recipe = Recipe.load(quick_recipe, {"model.compute_dtype": "auto", "model.engine": "portable"})
    run(recipe, out=tmp_path / "out")
    rows = [json.loads(line) for line in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()]
    assert len(rows) == 3
    assert all(row["sampling/sampling_logp_difference/mean"] < 0.05 for row in rows if "entropy" in row)
    assert all(row["peak_bytes"] >= row["peak_bytes/rollout"] > 0 for row in rows)
