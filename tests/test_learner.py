"""The learner: its gradient depends on the groups alone, and a small step is not lost to rounding."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from sections import make_learner

from tina_lite.policy import TokenBatch
from tina_lite.train import batching
from tina_lite.util.records import Completion, Group, ScoredGroup
from tina_lite.util.wall_clock import OutOfTime


@pytest.fixture
def scored(make_policy, make_prompts):
    """Groups of mixed lengths; the second teaches nothing."""
    prompts = make_prompts(make_policy(), 4)
    generator = torch.Generator().manual_seed(1)
    result = []
    for index, prompt in enumerate(prompts):
        completions = []
        for number in range(3):
            ids = torch.randint(5, 390, (3 + 5 * number + index,), generator=generator).tolist()
            reason = "length" if number == 2 else "stop"
            completions.append(Completion(tuple(ids), (-1.0,) * len(ids), "", reason))
        advantages = (0.0, 0.0, 0.0) if index == 1 else (1.0, -0.4, -0.6)
        group = Group(prompt, tuple(completions))
        result.append(ScoredGroup(group, {}, (0.0, 0.0, 0.0), advantages))
    return result


def gradients(policy, groups, clip=1e9, step=1, **fields):
    """The clipped gradient of each master, caught before the optimiser uses it."""
    learner = make_learner(policy, max_grad_norm=clip, **{"micro_batch_tokens": 4096, **fields})
    update = learner.update(groups, learning_rate=0.0, step=step)
    return torch.cat([m.grad.flatten() for m in learner._master_weights.values()]), update


def close(one, other, tolerance=1e-5):
    return float((one - other).norm() / other.norm()) < tolerance


@pytest.mark.parametrize("loss_type", ["grpo", "bnpo", "dr_grpo", "dapo", "cispo", "gspo"])
def test_the_gradient_does_not_depend_on_the_token_budget_or_the_order(make_policy, scored, loss_type):
    policy, loss = make_policy(spread=0.05, fp32=True), {"loss_type": loss_type}
    whole, update = gradients(policy, scored, **loss)
    for tokens in (64, 200):
        assert close(gradients(policy, scored, **loss, micro_batch_tokens=tokens)[0], whole)
    assert close(gradients(policy, scored[::-1], **loss, micro_batch_tokens=200)[0], whole)
    assert update.grad_norm == pytest.approx(float(whole.norm()), rel=1e-5)


@pytest.mark.parametrize("beta", [0.0, 0.1])
@pytest.mark.parametrize("loss_type", ["grpo", "bnpo", "dr_grpo", "dapo", "cispo", "gspo"])
def test_the_expected_gradient_of_fewer_completions_is_that_of_all(make_policy, scored, monkeypatch, loss_type, beta):
    """Over all choices there are: two of three, the first of which stays."""
    policy, loss = make_policy(spread=0.05, fp32=True), {"loss_type": loss_type, "beta": beta}
    whole, _ = gradients(policy, scored, **loss)
    expected = torch.zeros_like(whole)
    for kept, chance in ((1, 0.4), (2, 0.6)):
        monkeypatch.setattr(batching, "thinned", lambda *given, k=kept, q=chance, **more: {0: 1.0, k: 1 / q})
        part, update = gradients(policy, scored, **loss, update_completions=2)
        assert update.trained_tokens < sum(len(c.ids) for s in scored for c in s.group.completions)
        expected += chance * part
    assert close(expected, whole, 1e-4)


def test_the_choice_of_completions_is_the_steps_own(make_policy, scored):
    policy = make_policy(spread=0.05, fp32=True)
    first, _ = gradients(policy, scored, update_completions=2)
    again, _ = gradients(policy, scored, update_completions=2)
    assert torch.equal(first, again)
    other = [gradients(policy, scored, update_completions=2, step=step)[0] for step in (2, 3, 4)]
    assert not all(torch.equal(first, one) for one in other)
    assert torch.equal(gradients(policy, scored, update_completions=3)[0], gradients(policy, scored)[0])


def test_a_group_without_variance_is_skipped_and_the_gradient_is_that_of_training_on_it(make_policy, scored):
    policy = make_policy(spread=0.05, fp32=True)
    skipped, update = gradients(policy, scored)
    assert update.skipped_groups == 1
    trained = sum(len(c.ids) for s in scored if s.teaches for c in s.group.completions)
    assert update.trained_tokens == trained
    # beta so small that it changes nothing but that every group takes part
    everything, update = gradients(policy, scored, beta=1e-12)
    assert update.skipped_groups == 0
    assert close(skipped, everything)


def test_kl_is_the_mean_k3_to_the_base_at_the_trained_tokens(make_policy, scored):
    policy = make_policy(spread=0.05, fp32=True)
    _, without = gradients(policy, scored)
    assert without.kl is None
    _, update = gradients(policy, scored, beta=0.1)
    found = []
    for group in scored:
        batch = TokenBatch((group.group.prompt.ids,), (tuple(c.ids for c in group.group.completions),))
        with torch.no_grad():
            mine, base = (policy.logprobs(batch, 1.0, adapter=adapter)[0] for adapter in (True, False))
        difference = (base - mine)[batch.completion_mask()]
        found += (difference.exp() - difference - 1).tolist()
    assert update.kl == pytest.approx(sum(found) / len(found), rel=1e-4)
    assert update.kl > 0.01


def test_the_gradient_is_that_of_the_formula(make_policy, scored):
    """-sum over tokens of advantage x log-prob, over all tokens of the step (DAPO), by plain autograd."""
    policy = make_policy(spread=0.05, fp32=True)
    ours, _ = gradients(policy, scored)
    tokens = sum(len(c.ids) for s in scored for c in s.group.completions)
    loss = 0.0
    for group in scored:
        for completion, advantage in zip(group.group.completions, group.advantages, strict=True):
            ids = torch.tensor([[*group.group.prompt.ids, *completion.ids]])
            logprobs = policy.model(input_ids=ids).logits.log_softmax(-1)
            start = len(group.group.prompt.ids)
            picked = logprobs[0, start - 1 : -1].gather(1, ids[0, start:, None])
            loss = loss - advantage * picked.sum() / tokens
    loss.backward()
    expected = torch.cat([tensor.grad.flatten() for tensor in policy.trainable().values()])
    assert close(ours, expected, 1e-4)


def test_masked_truncated_completions_take_no_part(make_policy, scored):
    policy = make_policy(spread=0.05, fp32=True)
    masked, update = gradients(policy, scored, mask_truncated_completions=True)
    assert update.trained_tokens == sum(
        len(c.ids) for s in scored if s.teaches for c in s.group.completions if c.finish_reason == "stop"
    )
    assert not close(masked, gradients(policy, scored)[0])


def test_the_gradient_is_clipped(make_policy, scored):
    clipped, update = gradients(make_policy(spread=0.05), scored, clip=0.01)
    assert update.grad_norm > 0.01
    assert float(clipped.norm()) == pytest.approx(0.01, rel=1e-3)


def test_nothing_moves_and_nothing_is_computed_where_no_group_teaches(make_policy, scored, monkeypatch):
    policy = make_policy(spread=0.05)
    before = {name: tensor.detach().clone() for name, tensor in policy.trainable().items()}
    monkeypatch.setattr(policy, "logprobs", None)  # a call would fail
    learner = make_learner(policy)
    update = learner.update([scored[1]], learning_rate=1.0, step=1)
    assert (update.skipped_groups, update.trained_tokens, update.grad_norm) == (1, 0, 0.0)
    assert all(torch.equal(tensor, before[name]) for name, tensor in policy.trainable().items())


def test_a_step_that_is_not_finite_is_not_taken(make_policy, scored):
    policy = make_policy(spread=0.05)
    before = {name: tensor.detach().clone() for name, tensor in policy.trainable().items()}
    learner = make_learner(policy)
    poisoned = replace(scored[0], advantages=(float("nan"), 1.0, -1.0))
    assert not learner.update([poisoned], learning_rate=1.0, step=1).finite
    assert all(torch.equal(tensor, before[name]) for name, tensor in policy.trainable().items())
    assert learner.update(scored, learning_rate=1e-3, step=2).finite


def test_a_step_whose_second_iteration_is_not_finite_is_not_half_taken(make_policy, scored, monkeypatch):
    policy = make_policy(spread=0.05)
    learner = make_learner(policy, num_iterations=3)
    learner.update(scored, 1e-3, 1)
    before = {name: tensor.detach().clone() for name, tensor in everything(learner, policy).items()}
    norms = iter([0.1, float("nan"), 0.1])
    real = learner._clip_gradients
    monkeypatch.setattr(learner, "_clip_gradients", lambda: (real(), torch.tensor(next(norms)))[1])
    assert not learner.update(scored, 1e-3, 2).finite
    assert is_as_before(learner, policy, before)
    assert next(norms) == 0.1, "the third iteration was not begun"


def test_small_steps_reach_bf16_adapters_through_fp32_masters(make_policy, scored):
    """lr 1e-6 on a weight near 0.02: the naive bf16 update moves nothing."""
    policy = make_policy(spread=0.05)
    learner = make_learner(policy)
    start = {name: master.clone() for name, master in learner._master_weights.items()}
    for step in range(1, 11):
        learner.update(scored, learning_rate=1e-6, step=step)
    moved = {name: (master - start[name]).abs().mean().item() for name, master in learner._master_weights.items()}
    assert min(moved.values()) > 2e-6  # Adam moves by about lr a step
    one = next(iter(policy.trainable().values()))
    naive = one.detach().clone()
    for _ in range(10):
        naive -= 1e-6
    assert (naive != one).float().mean() < 0.2  # only entries that are themselves near 0 can move


@pytest.mark.slow
def test_200_small_steps_move_bf16_adapters_as_far_as_fp32_ones(make_policy, scored):
    """lr 1e-6: the masters go as far as those of fp32 training and the adapter is never more than a rounding away.

    Without masters, each step lost in the rounding, it would stay where it was.
    """

    def train(fp32, masters=True):
        learner = make_learner(make_policy(spread=0.05, fp32=fp32))
        start = torch.cat([master.flatten().clone() for master in learner._master_weights.values()])
        for step in range(1, 201):
            learner.update(scored, learning_rate=1e-6, step=step)
            if not masters:
                for name, master in learner._master_weights.items():
                    master.copy_(learner._adapter[name].detach())
        end = torch.cat([master.flatten() for master in learner._master_weights.values()])
        adapter = torch.cat([tensor.detach().flatten() for tensor in learner._adapter.values()])
        return end - start, end, adapter

    (exact, _, _), (moved, master, adapter) = train(fp32=True), train(fp32=False)
    assert float(moved.norm()) == pytest.approx(float(exact.norm()), rel=0.02)
    assert float(moved @ exact) > 0.95 * float(moved.norm() * exact.norm())
    assert adapter.dtype == torch.bfloat16
    assert torch.equal(adapter, master.bfloat16())
    naive, _, _ = train(fp32=False, masters=False)
    assert float((naive == 0).float().mean()) > 0.99  # but for a few that are nearly 0 themselves


def test_state_and_load_state_go_on_exactly(make_policy, scored):
    def learner_of(policy):
        return make_learner(policy)

    baseline = make_policy()
    learner = learner_of(baseline)
    for step in (1, 2, 3):
        learner.update(scored, 1e-3, step)
    first = learner_of(make_policy())
    for step in (1, 2):
        first.update(scored, 1e-3, step)
    saved = {name: tensor.clone() for name, tensor in first.state().items()}
    resumed_policy = make_policy(seed=9)
    resumed = learner_of(resumed_policy)
    resumed.load_state(saved)
    resumed.update(scored, 1e-3, 3)
    for name, tensor in baseline.trainable().items():
        assert torch.equal(tensor, resumed_policy.trainable()[name])


def test_the_base_never_moves(make_policy, scored):
    policy = make_policy()
    frozen = {n: p.detach().clone() for n, p in policy.model.named_parameters() if not p.requires_grad}
    learner = make_learner(policy)
    learner.update(scored, 1e-2, 1)
    assert len(frozen) > 28
    for name, parameter in policy.model.named_parameters():
        if name in frozen:
            assert torch.equal(parameter, frozen[name]), name


def test_more_iterations_take_more_steps_against_the_same_old_policy(make_policy, scored):
    one, two = make_policy(spread=0.05), make_policy(spread=0.05)
    once = make_learner(one).update(scored, 3e-3, 1)
    twice = make_learner(two, num_iterations=2).update(scored, 3e-3, 1)
    assert twice.trained_tokens == 2 * once.trained_tokens
    assert once.clip_fraction == 0.0
    assert twice.clip_fraction > 0.0, "the second pass is measured against the policy that sampled"
    assert twice.logp_difference == pytest.approx(once.logp_difference)


def test_truncated_importance_sampling_weighs_by_the_samplers_logprobs(make_policy, scored):
    """The sampler claims log-probs of -1, far above the truth: the weights are small."""
    policy = make_policy(spread=0.05, fp32=True)
    plain, _ = gradients(policy, scored)
    weighted, _ = gradients(policy, scored, tis_cap=0.5)
    assert float(weighted.norm()) < 0.6 * float(plain.norm())


def everything(learner, policy):
    """Weights, masters and moments."""
    return {**policy.trainable(), **learner.state()}


def is_as_before(learner, policy, before):
    now = everything(learner, policy)
    return now.keys() == before.keys() and all(torch.equal(now[name], tensor) for name, tensor in before.items())


@pytest.mark.parametrize("asked", [1, 2, 4, 5])
def test_an_update_that_is_given_up_can_be_taken_back_whole(make_policy, scored, asked):
    """With two micro-batches an iteration, the weights have moved when the third is asked for."""
    policy = make_policy()
    learner = make_learner(policy, num_iterations=3, micro_batch_tokens=100)
    learner.update(scored, 1e-3, 1)
    before = {name: tensor.detach().clone() for name, tensor in everything(learner, policy).items()}
    asks = iter(range(1, 100))
    with pytest.raises(OutOfTime):
        learner.update(scored, 1e-3, 2, out_of_time=lambda: next(asks) > asked)
    assert learner.updated_at == 2
    learner.undo()
    assert is_as_before(learner, policy, before)
    learner.undo()
    assert is_as_before(learner, policy, before)


def test_an_update_can_be_taken_back_after_it_was_done(make_policy, scored):
    policy = make_policy()
    learner = make_learner(policy)
    before = {name: tensor.detach().clone() for name, tensor in everything(learner, policy).items()}
    learner.update(scored, 1e-3, 1)
    assert not is_as_before(learner, policy, before)
    learner.undo()
    assert is_as_before(learner, policy, before)


def test_a_time_stamp_can_be_a_seed(make_policy, scored):
    learner = make_learner(make_policy(), seed=20261126101222)
    assert learner.update(scored, 1e-3, 1).finite


def test_moments_go_to_the_device_of_their_masters():
    """A checkpoint is read on the CPU; torch refuses to step where a moment is elsewhere than its parameter."""

    class OnACard:
        shares_prompts = True
        device = torch.device("meta")
        dtype_name = "float32"

        def trainable(self):
            return {"lora": torch.nn.Parameter(torch.zeros(2, 3, dtype=torch.bfloat16, device="meta"))}

        def sync(self):
            pass

    learner = make_learner(OnACard())
    ones = torch.ones(2, 3)
    learner.load_state(
        {"master.lora": ones, "step.lora": torch.ones(()), "exp_avg.lora": ones, "exp_avg_sq.lora": ones}
    )
    state = learner._optimizer.state[learner._master_weights["lora"]]
    assert {name: value.device.type for name, value in state.items()} == dict.fromkeys(state, "meta")


def without_noise(policy, scored):
    """The same groups as the sampler would have given them: its log-probs are the policy's."""
    from tina_lite.train.batching import token_batch

    found = []
    for group in scored:
        rows = [SimpleNamespace(prompt=group.group.prompt, completion=c) for c in group.group.completions]
        with torch.no_grad():
            logprobs, _ = policy.logprobs(token_batch(rows), 1.0)
        completions = tuple(
            replace(c, logprobs=tuple(row[: len(c.ids)].tolist()))
            for c, row in zip(group.group.completions, logprobs, strict=True)
        )
        found.append(replace(group, group=replace(group.group, completions=completions)))
    return found


def test_importance_weights_do_not_measure_dropout(make_policy, scored):
    """On data that is exactly on-policy they are 1: the gradient is that without them."""
    plain, weighted = (make_policy(spread=0.3, dropout=0.2, fp32=True) for _ in range(2))
    on_policy = without_noise(plain, scored)
    gradient, update = gradients(plain, on_policy, dropout=0.2)
    capped, with_tis = gradients(weighted, on_policy, tis_cap=2.0, dropout=0.2)
    assert update.logp_difference > 0.01, "dropout makes a difference here"
    assert with_tis.logp_difference < 1e-4
    assert close(capped, gradient)


def test_ratios_do_not_measure_dropout(make_policy, scored):
    """At a learning rate of 0 every ratio is 1, in every iteration, and nothing is clipped."""
    policy = make_policy(spread=0.3, dropout=0.2, fp32=True)
    update = make_learner(policy, num_iterations=3, dropout=0.2, epsilon=1e-4).update(scored, 0.0, 1)
    assert update.clip_fraction == 0.0
