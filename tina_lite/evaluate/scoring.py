"""From kept completions to figures: Pass@1, Pass@k, majority@k with intervals, and two models compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from tina_lite.evaluate.samples import Kept
from tina_lite.evaluate.statistics import Interval, difference_interval, interval95, pass_at_k, sign_flip_p
from tina_lite.evaluate.votes import majority_share
from tina_lite.problems.benchmarks import AnswerForm
from tina_lite.rewards.accuracy import decided
from tina_lite.rewards.completions import chat
from tina_lite.rewards.stated import choice


@dataclass(frozen=True, slots=True)
class Estimate:
    """A share with its 95% interval."""

    value: float
    ci95: Interval

    @classmethod
    def of(cls, shares: Sequence[float]) -> "Estimate":
        """Of one share a problem."""
        return cls(fmean(shares), interval95(shares))


@dataclass(frozen=True, slots=True)
class Judged:
    """One problem's completions with their verdicts."""

    problem: int
    right: tuple[bool, ...]
    majority: float
    """What the majority vote is worth."""


@dataclass(frozen=True, slots=True)
class Result:
    """One model on one benchmark."""

    model: str
    benchmark: str
    problems: int
    """Measured."""
    asked: int
    """That were to be measured; more than `problems` where money or time ran out."""
    too_long: int
    """Left out, as their prompt does not fit."""
    samples: int
    """Completions a problem."""
    pass_at_1: Estimate
    pass_at_k: Mapping[int, Estimate]
    """By k = 2, 4, ... up to `samples`."""
    majority: Estimate
    """Of all samples of a problem."""
    mean_length: float
    """Completion tokens."""
    cut_off: float
    """Share of the completions that ended by their length."""
    usd: float
    """That sampling took."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models on the problems that both finished."""

    model: str
    base: str
    benchmark: str
    problems: int
    difference: float
    """Of Pass@1, model - base."""
    ci95: Interval
    better: int
    """Problems on which the model has the larger share of right completions."""
    worse: int
    p: float
    """Two-sided, exact sign-flip permutation test (McNemar's with one sample a problem)."""


def judged(groups: Mapping[int, Sequence[Kept]], samples: int, form: AnswerForm) -> list[Judged]:
    """The problems with all their completions, in order, judged by the accuracy reward, or by letter."""
    whole = {problem: kept for problem, kept in sorted(groups.items()) if len(kept) == samples}
    rows = [one for kept in whole.values() for one in kept]
    texts, golds = [one.completion for one in rows], [one.gold for one in rows]
    found = choice(chat(*texts), golds) if form == "choice" else decided(texts, golds)
    right = [bool(verdict) for verdict in found]
    results = []
    for number, problem in enumerate(whole):
        own = slice(number * samples, (number + 1) * samples)
        results.append(Judged(problem, tuple(right[own]), majority_share(texts[own], right[own])))
    return results


def result_of(
    model: str, benchmark: str, groups: Mapping[int, Sequence[Kept]], found: Sequence[Judged], asked: int, too_long: int
) -> Result | None:
    """The figures; None where no problem was finished."""
    if not found:
        return None
    samples = len(found[0].right)
    counts = [sum(one.right) for one in found]
    rows = [kept for one in found for kept in groups[one.problem]]
    ks = [k for k in (2**power for power in range(1, samples.bit_length())) if k < samples] + [samples] * (samples > 1)
    return Result(
        model=model,
        benchmark=benchmark,
        problems=len(found),
        asked=asked,
        too_long=too_long,
        samples=samples,
        pass_at_1=Estimate.of([count / samples for count in counts]),
        pass_at_k={k: Estimate.of([pass_at_k(samples, count, k) for count in counts]) for k in ks},
        majority=Estimate.of([one.majority for one in found]),
        mean_length=fmean(row.tokens for row in rows),
        cut_off=fmean(row.finish_reason != "stop" for row in rows),
        usd=sum(row.usd for kept in groups.values() for row in kept),
    )


def compared(
    model: str, base: str, benchmark: str, ours: Sequence[Judged], theirs: Sequence[Judged]
) -> Comparison | None:
    """Problem by problem; None where they have none in common."""
    other = {one.problem: one for one in theirs}
    pairs = [(one, other[one.problem]) for one in ours if one.problem in other]
    if not pairs:
        return None
    counts = [(sum(a.right), sum(b.right)) for a, b in pairs]
    samples = len(pairs[0][0].right), len(pairs[0][1].right)
    differences = [a / samples[0] - b / samples[1] for a, b in counts]
    return Comparison(
        model=model,
        base=base,
        benchmark=benchmark,
        problems=len(pairs),
        difference=fmean(differences),
        ci95=difference_interval(differences, *samples),
        better=sum(difference > 0 for difference in differences),
        worse=sum(difference < 0 for difference in differences),
        p=sign_flip_p([a for a, _ in counts], samples[0], [b for _, b in counts], samples[1]),
    )
