"""Noisy curves made readable: a moving mean with a 95% interval. Pure arithmetic."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist, fmean, stdev

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
    window = max(LEAST_WINDOW, len(values) // STRETCHES) | 1
    half, mean, low, high = window // 2, [], [], []
    for index in range(len(values)):
        near = values[max(0, index - half) : index + half + 1]
        middle = fmean(near)
        reach = student_975(len(near) - 1) * stdev(near) / sqrt(len(near)) if len(near) > 1 else 0.0
        mean.append(middle)
        low.append(middle - reach)
        high.append(middle + reach)
    return Smooth(tuple(mean), tuple(low), tuple(high), window)


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
