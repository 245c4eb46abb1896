"""From completions to results: judged, counted, Pass@k and the vote of a problem's completions."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from tina_lite.answers import LONGEST_ANSWER, framed_answer
from tina_lite.answers.in_text import number_stated
from tina_lite.answers.numbers import Number, read_number
from tina_lite.answers.reading import letters, plain
from tina_lite.data.benchmarks import AnswerForm
from tina_lite.eval.samples import KeptSample
from tina_lite.eval.statistics import Interval, difference_interval, interval95, pass_at_k, sign_flip_p
from tina_lite.rewards.accuracy import verdicts
from tina_lite.rewards.call import chat
from tina_lite.rewards.stated import choice
from tina_lite.rewards.workers import Lost
from tina_lite.util.records import EvalResult

RIGHT = "right"
"""The one vote of all completions that were judged right, in whatever way they write the answer."""


def majority_share(texts: Sequence[str], right: Sequence[bool]) -> float:
    r"""1 if the answer with most votes is right, 0 if it is not, the chance of a fair draw where several have as many.

    Wrong answers are one where they are the same number or the same text; a completion without an answer has no vote.

    >>> majority_share([r"\boxed{4}", r"\boxed{4.0}", r"\boxed{5}"], [True, True, False])
    1.0
    >>> majority_share([r"\boxed{4}", r"\boxed{5}", "no idea"], [True, False, False])
    0.5
    """
    votes = Counter(vote for text, is_right in zip(texts, right, strict=True) if (vote := _vote(text, is_right)))
    most = max(votes.values(), default=0)
    leaders = [vote for vote, count in votes.items() if count == most]
    return 1 / len(leaders) if RIGHT in leaders else 0.0


def _vote(text: str, is_right: bool) -> Number | str | None:
    if is_right:
        return RIGHT
    stated = framed_answer(text)
    answer = plain(stated[:LONGEST_ANSWER]) if stated else ""
    number = number_stated(text) if stated is None else read_number(answer)
    return Number(number.value, percent=number.percent) if number else "".join(letters(answer).split()) or None


@dataclass(frozen=True, slots=True)
class Estimate:
    """Is a share with its 95% interval."""

    value: float
    ci95: Interval

    @classmethod
    def of(cls, shares: Sequence[float]) -> "Estimate":
        """Estimate from one share a problem."""
        return cls(fmean(shares), interval95(shares))


@dataclass(frozen=True, slots=True)
class Judged:
    """Holds one problem's completions with their verdicts."""

    problem: int
    right: tuple[bool, ...]
    majority: float
    """What the majority vote is worth."""
    undecided: int
    """Completions that could not be judged in time; they count as wrong."""


@dataclass(frozen=True, slots=True)
class Result:
    """Says how one model does on one benchmark."""

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
    undecided: int
    """Completions that could not be judged in time; they count as wrong."""

    def figure(self) -> EvalResult:
        """Give what an evaluation within a run says of it."""
        of, ci95 = self.pass_at_1.value, self.pass_at_1.ci95
        return EvalResult(self.benchmark, of, ci95, self.problems, self.samples, self.mean_length)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Compares two models on the problems that both finished."""

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


def judged(groups: Mapping[int, Sequence[KeptSample]], samples: int, form: AnswerForm) -> list[Judged]:
    """Judge the problems with all their completions, in order, by the accuracy reward, or by letter."""
    whole = {problem: kept for problem, kept in sorted(groups.items()) if len(kept) == samples}
    rows = [one for kept in whole.values() for one in kept]
    texts, golds = [one.completion for one in rows], [one.answer for one in rows]
    found = choice(chat(*texts), golds) if form == "choice" else verdicts(texts, golds, [one.verifier for one in rows])
    lost = [isinstance(verdict, Lost) for verdict in found]
    right = [bool(verdict) and not undecided for verdict, undecided in zip(found, lost, strict=True)]
    results = []
    for number, problem in enumerate(whole):
        own = slice(number * samples, (number + 1) * samples)
        results.append(Judged(problem, tuple(right[own]), majority_share(texts[own], right[own]), sum(lost[own])))
    return results


def result_of(
    model: str,
    benchmark: str,
    groups: Mapping[int, Sequence[KeptSample]],
    found: Sequence[Judged],
    asked: int,
    too_long: int,
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
        undecided=sum(one.undecided for one in found),
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
