"""Losses and adapter gradients equal those of TRL's own GRPOTrainer; `golden/make_trl.py` wrote what is expected."""

import json
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file
from sections import make_learner

from tina_lite.grpo import advantages
from tina_lite.policy.native import NativePolicy
from tina_lite.recipe.schema import LoraSection, ModelSection
from tina_lite.util.records import Completion, Group, Problem, Prompt, ScoredGroup

GOLDEN = Path(__file__).parent / "golden"
FACTS = json.loads((GOLDEN / "cases.json").read_text(encoding="utf-8"))
CASES = FACTS["cases"]
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
TOLERANCE = 1e-5
LOSS_FLOOR = 1e-6
"""A loss is a mean of terms of size 1; where they cancel, float32 leaves this much."""


@pytest.fixture(scope="module")
def golden():
    return load_file(GOLDEN / "trl.safetensors")


def part(golden, name):
    """The tensors under one name: base, old, new (adapters) or a case (its gradients)."""
    return {key.removeprefix(f"{name}."): golden[key] for key in sorted(golden) if key.startswith(f"{name}.")}


@pytest.fixture(scope="module")
def folder(golden, tmp_path_factory):
    """The base as a model folder."""
    path = tmp_path_factory.mktemp("base")
    config = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "dtype": "float32", **FACTS["model"]}
    (path / "config.json").write_text(json.dumps(config))
    save_file(part(golden, "base"), path / "model.safetensors", metadata={"format": "pt"})
    return path


@pytest.fixture
def policy(folder):
    return NativePolicy(
        ModelSection(id=str(folder), quantization="none", compute_dtype="float32"),
        LoraSection(
            r=FACTS["adapter"]["r"], alpha=FACTS["adapter"]["lora_alpha"], dropout=0.0, target_modules=PROJECTIONS
        ),
        SimpleNamespace(eos_token_id=FACTS["eos"]),
        seed=1,
    )


def load_adapter(policy, adapter):
    assert policy.trainable().keys() == adapter.keys()
    for name, tensor in policy.trainable().items():
        tensor.data = adapter[name].to(policy.device, copy=True)  # float32: bf16 would round the gradients
    policy.sync()


def loss_settings(peer):
    """TRL's settings in our words."""
    by_sequence = peer.get("importance_sampling_level") == "sequence"
    names = ("epsilon", "epsilon_high", "delta", "beta", "tis_cap")
    chosen = {name: peer[name] for name in names if name in peer}
    return {"loss_type": "gspo" if by_sequence else peer["loss_type"], **chosen}


def scored_groups(case):
    """The rollout. The sampler's log-probs are the stored old ones where the case is not about their difference."""
    peer = case["settings"]
    logprobs = FACTS["sampler_logprobs"] if "tis_cap" in peer else case["old_logprobs"] or FACTS["sampler_logprobs"]
    rows = iter(logprobs)
    result = []
    scores = advantages(FACTS["rewards"], peer.get("scale_rewards", "group"))
    for ids, several, totals, scored in zip(FACTS["prompts"], FACTS["completions"], FACTS["rewards"], scores):
        completions = tuple(
            Completion(tuple(one), tuple(next(rows)), "", "stop" if one[-1] == FACTS["eos"] else "length")
            for one in several
        )
        prompt = Prompt(Problem(0, "", "", {}), "", tuple(ids))
        result.append(ScoredGroup(Group(prompt, completions), {}, tuple(totals), scored))
    return result


def update_and_gradients(policy, golden, case, monkeypatch):
    """Our update of a case, without a step of our own: where there is a second pass, the peer's weights come first."""
    peer, new = case["settings"], part(golden, "new")
    iterations = peer.get("num_iterations", 1)
    load_adapter(policy, new if iterations == 1 else part(golden, "old"))
    learner = make_learner(
        policy,
        mask_truncated_completions=peer.get("mask_truncated_completions", False),
        temperature=peer.get("temperature", 1.0),
        max_completion_length=FACTS["max_completion_length"],
        num_iterations=iterations,
        micro_batch_tokens=64,  # several micro-batches
        max_grad_norm=1e9,
        **loss_settings(peer),
    )

    def step(learning_rate):
        for name, master in learner._master_weights.items():
            master.copy_(new[name])
        learner._publish()

    monkeypatch.setattr(learner, "_step", step)
    update = learner.update(scored_groups(case), learning_rate=0.0, step=1)
    return update, {name: master.grad.cpu() for name, master in learner._master_weights.items()}


def distance(one, other):
    return float((one - other).norm() / other.norm())


@pytest.mark.parametrize("name", CASES)
def test_loss_and_every_gradient_are_trls(policy, golden, name, monkeypatch):
    update, gradients = update_and_gradients(policy, golden, CASES[name], monkeypatch)
    assert update.loss == pytest.approx(CASES[name]["loss"], rel=TOLERANCE, abs=LOSS_FLOOR)
    expected = part(golden, name)
    assert gradients.keys() == expected.keys()
    distances = {key: distance(gradients[key], expected[key]) for key in expected}
    assert max(distances.values()) < TOLERANCE, distances


@pytest.mark.parametrize("name", [name for name in CASES if CASES[name]["clipped_share"] is not None])
def test_as_many_tokens_are_clipped(policy, golden, name, monkeypatch):
    case = CASES[name]
    update, _ = update_and_gradients(policy, golden, case, monkeypatch)
    masks = case["settings"].get("mask_truncated_completions", False)
    completions = [one for group in FACTS["completions"] for one in group if not masks or one[-1] == FACTS["eos"]]
    trained = update.trained_tokens / case["settings"].get("num_iterations", 1)
    # TRL's share is of all tokens, ours of those that take a pass; nothing is clipped where the advantage is 0.
    assert update.clip_fraction * trained == pytest.approx(case["clipped_share"] * sum(map(len, completions)))


@pytest.mark.parametrize("name", ["dapo", "temperature"])
def test_logprobs_of_the_policy_that_sampled_are_trls(policy, golden, name, monkeypatch):
    update, _ = update_and_gradients(policy, golden, CASES[name], monkeypatch)
    assert update.logp_difference < 1e-6
    other = CASES[name] | {"old_logprobs": FACTS["sampler_logprobs"]}
    assert update_and_gradients(policy, golden, other, monkeypatch)[0].logp_difference > 0.1


@pytest.mark.parametrize("name", CASES)
def test_advantages_are_trls(name):
    ours = [scored.advantages for scored in scored_groups(CASES[name])]
    assert ours == [pytest.approx(group, rel=TOLERANCE, abs=LOSS_FLOOR) for group in CASES[name]["advantages"]]


def test_no_two_cases_expect_the_same(golden):
    """So that to match a case is to match that very case; TRL's accumulation alone is meant to change nothing."""
    vectors = {name: torch.cat([t.flatten() for t in part(golden, name).values()]) for name in CASES}
    alike = {pair for pair in combinations(CASES, 2) if distance(vectors[pair[0]], vectors[pair[1]]) < 100 * TOLERANCE}
    assert alike == {("dapo", "dapo_accumulated")}
