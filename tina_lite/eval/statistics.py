"""The arithmetic of an evaluation: estimates, intervals, a test.

Problems are the unit: samples of one problem are not independent of each other, so every
interval and the test treat a problem as one observation.
"""

from collections.abc import Sequence
from math import comb, gcd, sqrt
from statistics import NormalDist, fmean

BOOTSTRAP_DRAWS, BOOTSTRAP_BATCH = 2000, 100
"""A batch of resamples is held in memory at once."""
Z95 = NormalDist().inv_cdf(0.975)

Interval = tuple[float, float]


def pass_at_k(samples: int, right: int, k: int) -> float:
    """Chance that k samples, drawn from those there are, hold a right one: 1 - C(n - c, k) / C(n, k).

    Unbiased for the chance that one of k fresh samples is right (Chen et al., arXiv 2107.03374, equation 1).

    >>> pass_at_k(4, 1, 1), pass_at_k(4, 1, 2), pass_at_k(4, 1, 4), pass_at_k(4, 0, 4)
    (0.25, 0.5, 1.0, 0.0)
    """
    if not 0 <= right <= samples or not 1 <= k <= samples:
        raise ValueError(f"pass@{k} of {right} right in {samples} samples is not defined")
    return 1.0 - comb(samples - right, k) / comb(samples, k)


def interval95(shares: Sequence[float]) -> Interval:
    """Give a 95% interval of the mean of one share a problem.

    It is Wilson's where each is 0 or 1, as with one sample a problem, and where all are alike; else a bootstrap over
    problems.

    >>> [round(bound, 3) for bound in interval95([0.0, 1.0, 0.0, 0.0])]
    [0.046, 0.699]
    """
    if set(shares) <= {0.0, 1.0} or len(set(shares)) == 1:
        return wilson(fmean(shares), len(shares))
    low, high = bootstrap_interval(shares)
    return max(0.0, low), min(1.0, high)


def wilson(share: float, count: int) -> Interval:
    """Compute Wilson's score interval of a binomial share, 95% (JASA 22, 1927).

    >>> [round(bound, 4) for bound in wilson(0.0, 30)]
    [0.0, 0.1135]
    """
    shrink = 1.0 + Z95**2 / count
    centre = (share + Z95**2 / (2 * count)) / shrink
    half = Z95 / shrink * sqrt(share * (1.0 - share) / count + Z95**2 / (4 * count**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def bootstrap_interval(values: Sequence[float], draws: int = BOOTSTRAP_DRAWS, seed: int = 0) -> Interval:
    """95% BCa bootstrap interval of the mean (Efron, JASA 82, 1987), widened for few values.

    In place of 2.5 and 97.5 it takes the percentiles of Hesterberg (The American Statistician 69, 2015, "expanded
    percentile"), as a bootstrap of n values is too narrow by sqrt((n - 1) / n) and knows no Student's t. How often it
    covers is measured in bench/coverage.py.

    >>> bootstrap_interval([0.5, 0.5, 0.5])
    (0.5, 0.5)
    """
    import numpy as np
    from scipy import special, stats

    data = np.asarray(values, dtype=np.float64)
    if np.ptp(data) < 1e-12:
        return float(data.mean()), float(data.mean())
    expanded = sqrt(len(data) / (len(data) - 1)) * student_t(len(data) - 1)
    widened = min(6.0, expanded)  # of two problems it would be 18, whose level rounds to 1
    low, high = stats.bootstrap(
        (data,),
        np.mean,
        n_resamples=draws,
        batch=BOOTSTRAP_BATCH,
        confidence_level=2 * special.ndtr(widened) - 1,
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(low), float(high)


def difference_interval(differences: Sequence[float], samples_a: int, samples_b: int) -> Interval:
    """Give a 95% interval of the mean difference of two models on the same problems.

    It is Bonett and Price's adjusted Wald interval (Journal of Educational and Behavioral Statistics 37,
    2012), which does not shrink to nothing where all tie.

    They add two pairs, one that favours either side. Here the pairs differ by as much as noise alone makes a problem of
    so many samples differ, which is 1 with one sample each. How often it covers is measured in bench/coverage.py.

    >>> [round(bound, 3) for bound in difference_interval([0.0] * 30, 1, 1)]
    [-0.087, 0.087]
    """
    count, added = len(differences) + 2, (1 / samples_a + 1 / samples_b) / 2
    mean, centre = fmean(differences), sum(differences) / count
    variance = (sum(difference**2 for difference in differences) + 2 * added) / count - centre**2
    half = Z95 * sqrt(max(0.0, variance) / count)
    return max(-1.0, min(mean, centre - half)), min(1.0, max(mean, centre + half))


def student_t(freedom: int) -> float:
    """Give the 97.5% quantile of Student's t.

    >>> [round(student_t(n), 2) for n in (1, 2, 4, 10, 100)]
    [12.71, 4.3, 2.78, 2.23, 1.98]
    """
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.975))


def sign_flip_p(right_a: Sequence[int], samples_a: int, right_b: Sequence[int], samples_b: int) -> float:
    """Compute the two-sided p-value of the difference of two models' Pass@1 on the same problems.

    It is that of a sign-flip permutation test. With one sample a problem it is McNemar's exact test.

    Were the models equally good, each problem's difference could as well have had the other sign; p is the share of all
    sign patterns whose sum is at least as far from 0 as the one seen. All of them are counted: shares are fractions
    with one denominator, so that sums are whole numbers and their distribution is a chain of convolutions.

    >>> sign_flip_p([1, 1, 1, 1, 1, 0], 1, [0, 0, 0, 0, 0, 1], 1)  # McNemar: 2 (C(6, 0) + C(6, 1)) / 2^6
    0.21875
    """
    import numpy as np

    scale = samples_a * samples_b // gcd(samples_a, samples_b)
    differences = [a * (scale // samples_a) - b * (scale // samples_b) for a, b in zip(right_a, right_b, strict=True)]
    sizes = [abs(difference) for difference in differences if difference]
    reach = sum(sizes)
    chances = np.ones(1)  # of the sums -width .. width
    for size in sizes:
        wider = np.zeros(len(chances) + 2 * size)
        wider[: len(chances)] += chances / 2
        wider[2 * size :] += chances / 2
        chances = wider
    sums = np.arange(-reach, reach + 1)
    return min(1.0, float(chances[np.abs(sums) >= abs(sum(differences))].sum()))
