"""Advantages and losses against hand-worked numbers and invariants."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tina_lite.grpo import LossWeights, advantages, k3, learning_rate, token_losses

rewards = st.floats(-10, 10, allow_nan=False).map(lambda value: round(value, 3))
groups = st.lists(st.lists(rewards, min_size=4, max_size=4), min_size=1, max_size=4)


def test_advantages_by_hand():
    # mean 1.5, deviations 1.5 .5 -.5 -1.5, sample std sqrt(5/3) = 1.29099
    (group,) = advantages([[3.0, 2.0, 1.0, 0.0]])
    assert group == pytest.approx([1.5 / 1.29109, 0.5 / 1.29109, -0.5 / 1.29109, -1.5 / 1.29109], rel=1e-4)


def test_advantages_of_the_batch_share_one_std():
    first, second = advantages([[1.0, 0.0], [10.0, 0.0]], "batch")
    std = torch.tensor([1.0, 0.0, 10.0, 0.0]).std().item() + 1e-4
    assert first == pytest.approx([0.5 / std, -0.5 / std])
    assert second == pytest.approx([5 / std, -5 / std])


def test_advantages_without_scale():
    assert advantages([[3.0, 1.0]], "none") == [(1.0, -1.0)]


@given(groups)
def test_advantages_sum_to_zero_and_equal_rewards_give_exactly_zero(totals):
    for group, result in zip(totals, advantages(totals), strict=True):
        assert sum(result) == pytest.approx(0.0, abs=1e-6)
        if len(set(group)) == 1:
            assert result == (0.0,) * len(group)


@given(groups, st.floats(-5, 5))
def test_advantages_do_not_see_a_constant_added_to_a_group(totals, shift):
    moved = [[value + shift for value in group] for group in totals]
    for before, after in zip(advantages(totals), advantages(moved), strict=True):
        assert before == pytest.approx(after, abs=2e-3)


def test_loss_by_hand():
    new = torch.tensor([[0.0, math.log(1.5)], [math.log(0.5), 0.0]])
    losses, clipped = token_losses(new, torch.zeros(2, 2), torch.tensor([2.0, -1.0]), epsilon=0.2)
    # ratios 1, 1.5 (clipped to 1.2 for a positive advantage); 0.5 (clipped to 0.8 for a negative one), 1
    assert losses.flatten().tolist() == pytest.approx([-2.0, -2.4, 0.8, 1.0])
    assert clipped.tolist() == [[False, True], [True, False]]


def test_a_wider_upper_bound_clips_later():
    new = torch.tensor([[math.log(1.5)]])
    losses, clipped = token_losses(new, torch.zeros(1, 1), torch.tensor([1.0]), epsilon=0.2, epsilon_high=0.6)
    assert losses.item() == pytest.approx(-1.5)
    assert not clipped.any()


def test_on_policy_gradient_is_advantage_times_score():
    new = torch.tensor([[0.3, -0.7]], requires_grad=True)
    losses, _ = token_losses(new, new.detach(), torch.tensor([1.7]), epsilon=0.2)
    losses.sum().backward()
    assert new.grad is not None
    assert new.grad.tolist() == [pytest.approx([-1.7, -1.7])]


def test_kl_term_is_k3():
    new, reference = torch.tensor([[0.0]]), torch.tensor([[math.log(2.0)]])
    assert k3(new, reference).item() == pytest.approx(2.0 - math.log(2.0) - 1.0)
    losses, _ = token_losses(new, new, torch.tensor([0.0]), epsilon=0.2, beta=0.5, reference_logprobs=reference)
    assert losses.item() == pytest.approx(0.5 * (1.0 - math.log(2.0)))


@pytest.mark.parametrize(
    ("loss_type", "expected"),
    [
        ("grpo", [1 / (2 * 4), 1 / (6 * 4)]),
        ("bnpo", [1 / 20, 1 / 20]),
        ("dapo", [1 / 20, 1 / 20]),
        ("dr_grpo", [1 / (4 * 10), 1 / (4 * 10)]),
    ],
)
def test_weights_of_a_token(loss_type, expected):
    weights = LossWeights(loss_type, rows=4, tokens=20, max_completion_length=10)
    assert weights.per_token(torch.tensor([2.0, 6.0])).tolist() == pytest.approx(expected)


@pytest.mark.parametrize("scheduler", ["cosine", "linear", "constant"])
@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_learning_rate_stays_in_its_bounds(scheduler, progress, warmup, floor):
    rate = learning_rate(progress, 2.0, scheduler, warmup, floor)
    assert 0.0 <= rate <= 2.0 + 1e-9
    if progress >= max(warmup, 1e-9) and warmup < 1:
        assert rate >= 2.0 * floor - 1e-9


def test_learning_rate_ends_on_its_floor():
    assert learning_rate(1.0, 1e-6, "cosine", 0.1, 0.1) == pytest.approx(1e-7)
    assert learning_rate(1.0, 1e-6, "linear", 0.1, 0.0) == 0.0
