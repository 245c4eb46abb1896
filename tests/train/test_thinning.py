"""Fewer completions in an update: chosen by their chances, weighed so that nothing changes in expectation."""

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tina_lite.train.thinning import thinned

GRADED = (1.9, 0.4, -0.1, -0.2, -0.5, -1.5)
BINARY = (2.0, -0.4, -0.4, -0.4, -0.4, -0.4)


@pytest.mark.parametrize("advantages", [GRADED, BINARY, (1.0, 1.0, 1.0, -1.0, -1.0, -1.0)])
@pytest.mark.parametrize("all_matter", [False, True])
@pytest.mark.parametrize("most", [2, 3, 4])
def test_each_completion_has_weight_one_on_average(advantages, all_matter, most):
    draw, draws = Random(1), 10_000
    weights = np.zeros((draws, len(advantages)))
    for row in weights:
        for place, weight in thinned(advantages, most, draw, all_matter=all_matter).items():
            row[place] = weight
    error = weights.std(axis=0) / draws**0.5
    assert (abs(weights.mean(axis=0) - 1) <= 4 * error + 1e-12).all()
    assert {int(count) for count in (weights > 0).sum(axis=1)} == {most}


@given(
    st.lists(st.sampled_from([-1.5, -1.0, -0.2, 0.0, 0.3, 1.0, 2.5]), min_size=1, max_size=12),
    st.integers(1, 12),
    st.booleans(),
    st.integers(0, 9),
)
@settings(max_examples=200)
def test_as_many_as_asked_for_or_all_that_matter(advantages, most, all_matter, seed):
    chosen = thinned(advantages, most, Random(seed), all_matter=all_matter)
    matter = len(advantages) if all_matter else sum(advantage != 0 for advantage in advantages)
    assert len(chosen) == min(most, matter)
    assert all(weight >= 1.0 for weight in chosen.values())
    if most >= matter:
        assert set(chosen.values()) <= {1.0}
    if not all_matter:
        assert all(advantages[place] for place in chosen)


def test_of_two_kinds_of_reward_as_many_of_either_are_taken():
    for seed in range(50):
        chosen = thinned([1.0] * 4 + [-1.0] * 4, 4, Random(seed))
        assert sorted(place < 4 for place in chosen) == [False, False, True, True]
        assert set(chosen.values()) == {2.0}


def test_the_rare_one_is_always_taken():
    for seed in range(50):
        assert thinned(BINARY, 2, Random(seed))[0] == 1.0
