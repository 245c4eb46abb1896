"""How often the 95% intervals of an evaluation hold the truth, and how often its paired test errs: a simulated study.

    python bench/coverage.py [STUDIES]              all of it
    python bench/coverage.py [STUDIES] differences  how two models compare alone

Each problem has a chance of its own, from a beta distribution whose mean is the truth; a spread of 0.5 makes most
problems nearly sure or nearly hopeless, 3 makes them alike. STUDIES evaluations are drawn for every line. Of two models
on the same problems the chances go together (a correlation of 0.8 between their ranks).
"""

import sys

import numpy as np
from scipy import stats

from tina_lite.eval.statistics import difference_interval, interval95, pass_at_k, sign_flip_p

FEWER, BASES, GAINS, TOGETHER = (5, 10, 30, 200), (0.02, 0.3, 0.8), (0.0, 0.05), 0.8
PROBLEMS, MEANS, SPREADS, SAMPLES = (30, 200, 500), (0.1, 0.3, 0.5, 0.8), (0.5, 3.0), (1, 4, 16)


def covered(rng: np.random.Generator, studies: int, problems: int, mean: float, spread: float, samples: int) -> float:
    """Share of studies whose interval holds the mean."""
    hits = 0
    for _ in range(studies):
        chances = rng.beta(mean * spread, (1 - mean) * spread, problems)
        low, high = interval95((rng.binomial(samples, chances) / samples).tolist())
        hits += low <= mean <= high
    return hits / studies


def covered_pass_at_4(rng: np.random.Generator, studies: int, problems: int, mean: float, spread: float) -> float:
    """The same for Pass@4 of eight samples; the truth is 1 - E[(1 - chance)^4], from the moments of the beta."""
    fails = (1 - mean) * spread
    truth = 1 - np.prod([(fails + i) / (spread + i) for i in range(4)])
    hits = 0
    for _ in range(studies):
        right = rng.binomial(8, rng.beta(mean * spread, (1 - mean) * spread, problems))
        low, high = interval95([pass_at_k(8, int(count), 4) for count in right])
        hits += int(low <= truth <= high)
    return hits / studies


def false_alarms(rng: np.random.Generator, studies: int, problems: int, samples: int) -> float:
    """Share of comparisons of two equal models with p <= 0.05."""
    hits = 0
    for _ in range(studies):
        chances = rng.beta(0.25, 0.25, problems)
        a, b = rng.binomial(samples, chances), rng.binomial(samples, chances)
        hits += sign_flip_p(a.tolist(), samples, b.tolist(), samples) <= 0.05
    return hits / studies


def covered_difference(
    rng: np.random.Generator, studies: int, problems: int, base: float, gain: float, spread: float, samples: int
) -> float:
    """Share of studies of two models whose interval holds the gain."""
    ranks = rng.standard_normal((2, studies, problems))
    ranks[1] = TOGETHER * ranks[0] + (1 - TOGETHER**2) ** 0.5 * ranks[1]
    means = np.array([base, base + gain])[:, None, None]
    chances = stats.beta(means * spread, (1 - means) * spread).ppf(stats.norm.cdf(ranks))
    right = rng.binomial(samples, chances) / samples
    hits = 0
    for differences in (right[1] - right[0]).tolist():
        low, high = difference_interval(differences, samples, samples)
        hits += low - 1e-12 <= gain <= high + 1e-12
    return hits / studies


def differences(studies: int) -> None:
    """The table of two models."""
    rng, found = np.random.default_rng(0), []
    heads = [f"{base:.0%} {100 * gain:+.0f}" for base in BASES for gain in GAINS]
    print("| problems | spread | samples |" + "".join(f" {head} |" for head in heads))
    print("| --- " * (3 + len(heads)) + "|")
    for problems in FEWER:
        for spread in SPREADS:
            for samples in SAMPLES:
                row = [covered_difference(rng, studies, problems, b, g, spread, samples) for b in BASES for g in GAINS]
                found += row
                cells = "".join(f" {share:.1%} |" for share in row)
                print(f"| {problems} | {spread} | {samples} |{cells}", flush=True)
    inside, above = (sum(0.93 <= one <= 0.97 for one in found), sum(one > 0.97 for one in found))
    print(f"in 93 to 97%: {inside} of {len(found)}; above: {above}; below: {len(found) - inside - above}, ", end="")
    print(f"least {min(found):.1%}")


def main() -> None:
    studies = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    differences(studies)
    if "differences" not in sys.argv:
        alone(studies)


def alone(studies: int) -> None:
    """The tables of one model, and how often its comparison with an equal errs."""
    rng, found = np.random.default_rng(0), []
    print("| problems | spread | samples |" + "".join(f" mean {mean} |" for mean in MEANS))
    print("| --- " * (3 + len(MEANS)) + "|")
    for problems in PROBLEMS:
        for spread in SPREADS:
            for samples in SAMPLES:
                row = [covered(rng, studies, problems, mean, spread, samples) for mean in MEANS]
                found += row
                print(
                    f"| {problems} | {spread} | {samples} |" + "".join(f" {share:.1%} |" for share in row), flush=True
                )
    print(
        f"in 93 to 97%: {sum(0.93 <= one <= 0.97 for one in found)} of {len(found)}; mean {np.mean(found):.1%}, ",
        end="",
    )
    print(f"least {min(found):.1%}, most {max(found):.1%}")
    for problems in PROBLEMS:
        print(f"Pass@4, {problems} problems: {covered_pass_at_4(rng, studies, problems, 0.3, 1.0):.1%}")
        print(f"p <= 0.05 between equals, {problems} x 4: {false_alarms(rng, studies, problems, 4):.1%}", flush=True)


if __name__ == "__main__":
    main()
