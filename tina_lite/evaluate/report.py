"""What an evaluation came to, and what its tables, on a terminal and in Markdown, say of it."""

from dataclasses import asdict, dataclass
from typing import Any

from tina_lite.console.text import format_share
from tina_lite.evaluate.paper import PAPER_BENCHMARKS, paper_results
from tina_lite.evaluate.scoring import Comparison, Estimate, Result

SIGNIFICANT = 0.05
FEW = 10
"""Where fewer problems tell two models apart, the interval of their difference covers more or less than 95%."""


@dataclass(frozen=True, slots=True)
class Report:
    """What an evaluation came to."""

    results: tuple[Result, ...]
    comparisons: tuple[Comparison, ...]
    stop_reason: str
    """finished, max_usd, interrupted, or rescored, where completions are missing still."""
    usd: float
    """Of all sessions, loading and judging included."""
    rate: float
    folder: str
    signal_number: int | None = None

    def to_json(self) -> dict[str, Any]:
        fields = asdict(self)
        del fields["signal_number"]
        return fields


def in_words(one: Comparison) -> str:
    """What a comparison says, and what it is too small to say.

    >>> in_words(Comparison("mine", "base", "aime24", 30, 0.042, (0.008, 0.076), 9, 2, 0.02))
    'aime24: mine is better than base by 4.2 points [0.8, 7.6], p = 0.02, 30 problems (9 better, 2 worse)'
    >>> in_words(Comparison("mine", "base", "aime24", 30, -0.01, (-0.1, 0.08), 4, 5, 0.9))
    'aime24: mine and base cannot be told apart: -1.0 points [-10.0, 8.0], p = 0.9, 30 problems (4 better, 5 worse): \
too few to see less than 9 points; the interval is a rough one, as few problems differ'
    """
    low, high = (100 * bound for bound in one.ci95)
    points, word = 100 * one.difference, "better" if one.difference > 0 else "worse"
    behind = f"p = {one.p:.2g}, {one.problems} problems ({one.better} better, {one.worse} worse)"
    names = one.model, one.base
    rough = "; the interval is a rough one, as few problems differ" if one.better + one.worse < FEW else ""
    if one.p >= SIGNIFICANT:
        told = f"{one.benchmark}: {names[0]} and {names[1]} cannot be told apart: {points:+.1f} points"
        few = f": too few to see less than {(high - low) / 2:.0f} points"
        return f"{told} [{low:.1f}, {high:.1f}], {behind}{few}{rough}"
    if one.difference < 0:
        low, high = -high, -low
    told = f"{one.benchmark}: {names[0]} is {word} than {names[1]} by {abs(points):.1f} points"
    return f"{told} [{low:.1f}, {high:.1f}], {behind}{rough}"


def shown(estimate: Estimate, interval: bool = True) -> str:
    """
    >>> shown(Estimate(0.4333, (0.2738, 0.608)))
    '43.3% [27.4, 60.8]'
    """
    low, high = estimate.ci95
    if not interval:
        return format_share(estimate.value)
    return f"{format_share(estimate.value)} [{100 * low:.1f}, {100 * high:.1f}]"


def counted(one: Result) -> str:
    """Such as "31 of 50 x 8"."""
    whole = str(one.problems) if one.problems == one.asked else f"{one.problems} of {one.asked}"
    return f"{whole} x {one.samples}"


def paper_rows(report: Report) -> list[tuple[str, ...]]:
    """A heading, and Pass@1 of the paper's models on those of its benchmarks that were measured; empty without any."""
    measured = [name for name in PAPER_BENCHMARKS if any(one.benchmark == name for one in report.results)]
    models = (one for one in paper_results() if one.kind != "ablation")
    rows = [(one.model, *(format_share(one.pass_at_1[name]) for name in measured)) for one in models]
    return [("model", *measured), *rows] if measured else []
