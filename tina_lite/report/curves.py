"""Noisy curves made readable: a moving mean with a 95% interval. Pure arithmetic."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from math import sqrt
from statistics import NormalDist, fmean

LEAST_WINDOW = 5
STRETCHES = 12
"""A window is one part in so many of the run: wide enough to be calm, narrow enough to turn where the run turns."""


@dataclass(frozen=True, slots=True)
class Smooth:
    """A moving mean; as many points as there were values."""

    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    window: int
    """Steps."""


def smoothed(values: Sequence[float]) -> Smooth:
    """Centred mean over a window of steps, cut short at both ends, with Student's 95% interval of that mean.

    The spread is that of the steps in the window, so where the curve climbs the interval is too wide, never too narrow.

    >>> calm = smoothed([1.0] * 9)
    >>> calm.mean[0], calm.low[4], calm.high[4], calm.window
    (1.0, 1.0, 1.0, 5)
    """
    count, window = len(values), max(LEAST_WINDOW, len(values) // STRETCHES) | 1
    centre = fmean(values) if count else 0.0  # near which sums of squares lose no digits
    sums = [0.0, *accumulate(value - centre for value in values)]
    squares = [0.0, *accumulate((value - centre) ** 2 for value in values)]
    mean, low, high = [], [], []
    for index in range(count):
        start, end = max(0, index - window // 2), min(count, index + window // 2 + 1)
        near, total = end - start, sums[end] - sums[start]
        spread = max(0.0, squares[end] - squares[start] - total * total / near)
        reach = student_975(near - 1) * sqrt(spread / (near - 1) / near) if near > 1 else 0.0
        mean.append(centre + total / near)
        low.append(mean[-1] - reach)
        high.append(mean[-1] + reach)
    return Smooth(tuple(mean), tuple(low), tuple(high), window)


@cache
def student_975(freedom: int) -> float:
    """The 97.5% quantile of Student's t: exact for 1 and 2 degrees of freedom, else Cornish and Fisher's series.

    >>> [round(student_975(n), 2) for n in (1, 2, 4, 10, 100)]
    [12.71, 4.3, 2.78, 2.23, 1.98]
    """
    if freedom == 1:
        return 12.7062
    if freedom == 2:
        return 4.3027
    z = NormalDist().inv_cdf(0.975)
    terms: tuple[float, ...] = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / float(freedom) ** power for power, term in enumerate(terms, start=1))
