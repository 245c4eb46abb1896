"""Advantages and losses against hand-worked numbers and invariants."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tina_lite.grpo import LossWeights, advantages, k3, learning_rate, token_losses
from tina_lite.recipe.schema import GrpoSection

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


MASK = torch.ones(1, 2, dtype=torch.bool)
ZERO = torch.zeros(1, 2)


def losses_of(new, advantage, settings, **others):
    losses, clipped = token_losses(torch.tensor([new]), ZERO, torch.tensor([advantage]), MASK, settings, **others)
    return losses[0].tolist(), clipped[0].tolist()


def test_loss_by_hand():
    # ratios 1 and 1.5 (clipped to 1.2 for a positive advantage)
    assert losses_of([0.0, math.log(1.5)], 2.0, GrpoSection()) == (pytest.approx([-2.0, -2.4]), [False, True])
    # ratios 0.5 (clipped to 0.8 for a negative advantage) and 1
    assert losses_of([math.log(0.5), 0.0], -1.0, GrpoSection()) == (pytest.approx([0.8, 1.0]), [True, False])


def test_a_wider_upper_bound_clips_later():
    settings = GrpoSection(epsilon_high=0.6)
    assert losses_of([math.log(1.5), 0.0], 1.0, settings) == (pytest.approx([-1.5, -1.0]), [False, False])


def test_delta_bounds_what_clipping_leaves_free():
    # a negative advantage leaves a large ratio free: 6 x 1 without delta, 4 x 1 with it
    assert losses_of([math.log(6.0), 0.0], -1.0, GrpoSection())[0] == pytest.approx([6.0, 1.0])
    assert losses_of([math.log(6.0), 0.0], -1.0, GrpoSection(delta=4.0))[0] == pytest.approx([4.0, 1.0])


def test_gspo_has_one_ratio_for_a_completion():
    # log-ratios 0.4 and 0.0, mean 0.2: both tokens bear exp(0.2) = 1.2214, clipped to 1.2
    assert losses_of([0.4, 0.0], 1.0, GrpoSection(loss_type="gspo")) == (pytest.approx([-1.2, -1.2]), [True, True])


def test_gspo_does_not_see_the_padding():
    mask = torch.tensor([[True, False]])
    losses, _ = token_losses(torch.tensor([[0.1, 9.0]]), ZERO, torch.tensor([1.0]), mask, GrpoSection(loss_type="gspo"))
    assert losses[0, 0].item() == pytest.approx(-math.exp(0.1))


def test_cispo_weighs_the_score_by_a_bounded_ratio_and_never_drops_a_token():
    new = torch.tensor([[math.log(8.0), 0.0]], requires_grad=True)
    losses, clipped = token_losses(
        new, ZERO, torch.tensor([2.0]), MASK, GrpoSection(loss_type="cispo", epsilon_high=5.0)
    )
    losses.sum().backward()
    assert new.grad is not None
    assert new.grad[0].tolist() == pytest.approx([-10.0, -2.0])  # -ratio (at most 5) x advantage
    assert clipped[0].tolist() == [True, False]


def test_truncated_importance_sampling_by_hand():
    behaviour = torch.tensor([[-math.log(3.0), math.log(2.0)]])  # old / behaviour: 3, cut to 2; and 0.5
    settings = GrpoSection(tis_cap=2.0)
    assert losses_of([0.0, 0.0], 1.0, settings, behaviour_logprobs=behaviour)[0] == pytest.approx([-2.0, -0.5])


@pytest.mark.parametrize("loss_type", ["grpo", "bnpo", "dr_grpo", "dapo", "cispo"])
def test_on_policy_gradient_is_advantage_times_score(loss_type):
    new = torch.tensor([[0.3, -0.7]], requires_grad=True)
    losses, _ = token_losses(new, new.detach(), torch.tensor([1.7]), MASK, GrpoSection(loss_type=loss_type))
    losses.sum().backward()
    assert new.grad is not None
    assert new.grad.tolist() == [pytest.approx([-1.7, -1.7])]


def test_kl_term_is_k3():
    new, reference = torch.tensor([[0.0, 0.0]]), torch.tensor([[math.log(2.0), 0.0]])
    assert k3(new, reference)[0].tolist() == pytest.approx([2.0 - math.log(2.0) - 1.0, 0.0])
    losses, _ = token_losses(new, new, torch.tensor([0.0]), MASK, GrpoSection(beta=0.5), reference_logprobs=reference)
    assert losses[0].tolist() == pytest.approx([0.5 * (1.0 - math.log(2.0)), 0.0])


@pytest.mark.parametrize(
    ("loss_type", "expected"),
    [
        ("grpo", [1 / (2 * 4), 1 / (6 * 4)]),
        ("bnpo", [1 / 20, 1 / 20]),
        ("dapo", [1 / 20, 1 / 20]),
        ("cispo", [1 / 20, 1 / 20]),
        ("gspo", [1 / (2 * 4), 1 / (6 * 4)]),
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
