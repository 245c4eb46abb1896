"""Estimates, intervals and the paired test against scipy, numpy and cases worked by hand."""

import tracemalloc
from itertools import combinations, product
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tina_lite.eval.statistics import (
    bootstrap_interval,
    difference_interval,
    interval95,
    pass_at_k,
    sign_flip_p,
    wilson,
)


@pytest.mark.parametrize(
    ("samples", "right", "k", "expected"),
    [(8, 3, 1, 3 / 8), (8, 3, 8, 1.0), (8, 0, 4, 0.0), (5, 2, 2, 0.7), (10, 3, 5, 1 - 21 / 252)],
)
def test_pass_at_k_by_hand(samples, right, k, expected):
    assert pass_at_k(samples, right, k) == pytest.approx(expected, abs=1e-12)


@given(st.integers(1, 9).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_pass_at_k_is_the_share_of_all_subsets_with_a_right_sample(case):
    samples, right, k = case
    subsets = list(combinations([True] * right + [False] * (samples - right), k))
    assert pass_at_k(samples, right, k) == pytest.approx(fmean(map(any, subsets)))


def test_pass_at_k_is_unbiased():
    """Over all that n samples can be, its mean is the chance that one of k is right; a plug-in estimate is not."""
    chance, samples, k = 0.2, 6, 3
    counts = np.arange(samples + 1)
    weights = stats.binom.pmf(counts, samples, chance)
    ours = sum(weights * [pass_at_k(samples, int(count), k) for count in counts])
    plug_in = sum(weights * (1 - (1 - counts / samples) ** k))
    assert ours == pytest.approx(1 - (1 - chance) ** k)
    assert abs(plug_in - (1 - (1 - chance) ** k)) > 0.02


def test_pass_at_k_of_more_samples_than_there_are_is_refused():
    with pytest.raises(ValueError, match="not defined"):
        pass_at_k(4, 1, 5)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_scipys(case):
    right, count = case
    expected = stats.binomtest(right, count).proportion_ci(0.95, "wilson")
    assert wilson(right / count, count) == pytest.approx((expected.low, expected.high), abs=1e-9)
    shares = [1.0] * right + [0.0] * (count - right)
    assert interval95(shares) == wilson(right / count, count)


@pytest.mark.parametrize(("problems", "mean"), [(8, 0.5), (50, 0.1)])
def test_the_bootstrap_is_wider_than_scipys_own(problems, mean):
    shares = np.random.default_rng(problems).beta(mean, 1 - mean, problems).tolist()
    low, high = bootstrap_interval(shares)
    plain = stats.bootstrap((shares,), np.mean, method="BCa", rng=1).confidence_interval
    assert 0 < plain.high - plain.low < high - low


def test_a_bootstrap_of_math500s_25_times_is_made_in_batches():
    """12,500 problems at once would be resamples of 200 MB, and a jackknife of 1.2 GB."""
    shares = np.random.default_rng(0).beta(0.5, 0.5, 12_500).tolist()
    tracemalloc.start()
    low, high = bootstrap_interval(shares, draws=300)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert low < fmean(shares) < high
    assert peak < 100e6


def test_the_interval_covers_what_it_should():
    """A small study, bounded by chance: 400 draws of a true 95% give 93 to 97% nineteen times in twenty. The large one
    is bench/coverage.py."""
    rng, covered, mean = np.random.default_rng(7), 0, 0.3
    for _ in range(400):
        shares = rng.binomial(4, rng.beta(mean, 1 - mean, 50)) / 4
        low, high = interval95(shares.tolist())
        covered += low <= mean <= high
    assert 0.93 <= covered / 400 <= 0.975


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), min_size=2, max_size=60))
def test_an_interval_holds_its_mean_and_stays_a_share(shares):
    low, high = interval95(shares)
    assert 0.0 <= low <= fmean(shares) <= high <= 1.0


def test_with_one_sample_the_difference_has_bonett_and_prices_interval():
    """9 problems better, 2 worse, 19 alike: p12 = 10/32, p21 = 3/32."""
    difference = (10 - 3) / 32
    half = 1.959964 * np.sqrt((13 / 32 - difference**2) / 32)
    found = difference_interval([1.0] * 9 + [-1.0] * 2 + [0.0] * 19, 1, 1)
    assert found == pytest.approx((difference - half, difference + half), abs=1e-6)


@given(st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.25, 1.0]), min_size=1, max_size=60), st.integers(1, 16))
def test_a_differences_interval_holds_it_is_never_empty_and_does_not_care_who_is_first(differences, samples):
    low, high = difference_interval(differences, samples, 4)
    assert -1.0 <= low <= fmean(differences) <= high <= 1.0
    assert high - low > 0.0
    turned = difference_interval([-one for one in differences], 4, samples)
    assert turned == pytest.approx((-high, -low))


def all_sign_patterns(differences):
    """The definition, pattern by pattern."""
    seen = abs(sum(differences))
    sums = [abs(sum(s * d for s, d in zip(signs, differences))) for signs in product((1, -1), repeat=len(differences))]
    return fmean(total >= seen - 1e-9 for total in sums)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6)), min_size=1, max_size=8))
def test_the_paired_test_counts_all_sign_patterns(pairs):
    ours, theirs = [a for a, _ in pairs], [b for _, b in pairs]
    expected = all_sign_patterns([a / 4 - b / 6 for a, b in pairs])
    assert sign_flip_p(ours, 4, theirs, 6) == pytest.approx(expected)


def test_the_paired_test_is_scipys_permutation_test():
    ours, theirs = [4, 3, 2, 4, 1, 0, 3, 2, 4, 1], [2, 3, 0, 1, 1, 1, 2, 0, 1, 0]
    expected = stats.permutation_test(
        (np.array(ours) / 4, np.array(theirs) / 4),
        lambda a, b: np.mean(a - b),
        permutation_type="samples",
        n_resamples=np.inf,
    )
    assert sign_flip_p(ours, 4, theirs, 4) == pytest.approx(expected.pvalue)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 5))
def test_with_one_sample_it_is_mcnemars_exact_test(better, worse, same):
    ours = [1] * better + [0] * worse + [1] * same
    theirs = [0] * better + [1] * worse + [1] * same
    expected = stats.binomtest(better, better + worse).pvalue if better + worse else 1.0
    if ours:
        assert sign_flip_p(ours, 1, theirs, 1) == pytest.approx(expected)


def test_under_equality_p_is_no_smaller_than_it_says():
    rng = np.random.default_rng(3)
    small = 0
    for _ in range(400):
        chances = rng.beta(0.5, 0.5, 40)
        ours, theirs = rng.binomial(4, chances), rng.binomial(4, chances)
        small += sign_flip_p(ours.tolist(), 4, theirs.tolist(), 4) <= 0.05
    assert small / 400 <= 0.08  # 0.05 and three standard errors
