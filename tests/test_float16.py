"""Training in float16, which cards without bfloat16 compute in: gradients are scaled into its range."""

import json
from dataclasses import replace

import pytest
import torch
from sections import make_learner

from tina_lite import load_recipe, run
from tina_lite.policy import engine
from tina_lite.train.learner import LARGEST, LossScale
from tina_lite.util.errors import BadInput
from tina_lite.util.records import Completion, Group, ScoredGroup

A_REAL_STEP = {"loss_type": "dr_grpo", "max_completion_length": 8192}
"""Divides by rows x 8192 tokens: each token weighs as little as in a step of long completions."""


@pytest.fixture
def scored(make_policy, make_prompts):
    """Two groups of three completions."""
    generator = torch.Generator().manual_seed(1)
    groups = []
    for prompt in make_prompts(make_policy(), 2):
        drawn = [torch.randint(5, 390, (length,), generator=generator).tolist() for length in (4, 9, 13)]
        group = Group(prompt, tuple(Completion(tuple(ids), (-6.0,) * len(ids), "", "stop") for ids in drawn))
        groups.append(ScoredGroup(group, {}, (0.0, 0.0, 0.0), (1.0, -0.4, -0.6)))
    return groups


def learn(policy, groups, scale=None, step=1, **fields):
    """The gradient of every master, in fp32 and unclipped; and the learner."""
    learner = make_learner(policy, max_grad_norm=1e9, loss_scale=scale, **fields)
    update = learner.update(groups, learning_rate=0.0, step=step)
    return torch.cat([m.grad.flatten() for m in learner._master_weights.values()]), update, learner


def apart(one, other):
    return float((one - other).norm() / other.norm())


def test_small_gradients_are_not_lost(make_policy, scored):
    exact, _, _ = learn(make_policy(spread=0.05), scored, **A_REAL_STEP)
    half = make_policy(spread=0.05, compute_dtype="float16")
    assert half.dtype_name == "float16"
    scaled, update, learner = learn(half, scored, **A_REAL_STEP)
    unscaled, _, _ = learn(half, scored, scale=1.0, **A_REAL_STEP)
    assert update.finite
    assert learner.loss_scale == LARGEST
    assert apart(scaled, exact) < 0.01
    assert apart(unscaled, exact) > 3 * apart(scaled, exact), "or nothing was at stake"


@pytest.mark.slow
@pytest.mark.parametrize("fields", [{}, {"num_iterations": 2, "dropout": 0.1, "tis_cap": 2.0}], ids=["plain", "more"])
def test_a_pass_that_overflows_is_done_again_with_less(make_policy, scored, fields):
    large = [replace(group, advantages=tuple(1e4 * a for a in group.advantages)) for group in scored]
    lora = {name: fields[name] for name in ("dropout",) if name in fields}
    half = make_policy(spread=0.05, compute_dtype="float16", **lora)
    found, update, learner = learn(half, large, **fields)
    assert 1.0 < learner.loss_scale < LARGEST
    at_once, same, _ = learn(half, large, scale=learner.loss_scale, **fields)
    assert update == same
    assert torch.equal(found, at_once)
    exact, _, _ = learn(make_policy(spread=0.05, **lora), large, **fields)
    assert apart(found, exact) < 0.01


def test_what_no_scale_mends_is_not_tried_again(make_policy, scored):
    poisoned = [replace(scored[0], advantages=(float("nan"), 1.0, -1.0))]
    _, update, learner = learn(make_policy(compute_dtype="float16"), poisoned)
    assert not update.finite
    assert learner.loss_scale == LARGEST


def test_it_grows_again_and_float16_alone_has_one():
    scale = LossScale("float16", 2.0**14)
    for step in range(1, 401):
        scale.grow(step)
    assert scale.value == LARGEST
    scale.lower()
    assert scale.value == LARGEST / 2
    other = LossScale("bfloat16")
    other.grow(100)
    assert (other.value, other.lower(), other.value) == (1.0, False, 1.0)
    assert LossScale("float32", 8.0).value == 1.0


@pytest.mark.slow
def test_a_resumed_run_goes_on_with_the_scale_that_it_had(quick_recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "refuse_float16", lambda compute_dtype: None)
    monkeypatch.setattr(LossScale, "grow", lambda self, step: self.lower())

    def learnt(name, *steps):
        for index, last in enumerate(steps):
            changes = {
                "model.compute_dtype": "float16",
                "stop.max_steps": last,
                "checkpoint.every_steps": 1,
                "optim.lr_scheduler_type": "constant",
            }
            run(load_recipe(quick_recipe, changes), out=tmp_path / name, resume=index > 0, force_recipe=True)
        (newest,) = sorted((tmp_path / name / "checkpoints").glob(f"*{steps[-1]}"))
        choices = json.loads((newest / "state.json").read_text())["choices"]
        return choices, (tmp_path / name / "adapter" / "adapter_model.safetensors").read_bytes()

    whole, resumed = learnt("whole", 4), learnt("resumed", 2, 4)
    assert whole[0]["loss_scale"] == LARGEST / 2**4
    assert resumed == whole


def test_a_cpu_is_not_asked_to(quick_recipe, tmp_path):
    with pytest.raises(BadInput, match="float16 is for a card; on a CPU choose auto"):
        run(load_recipe(quick_recipe, {"model.compute_dtype": "float16"}), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
