"""What an evaluation came to, and a comparison in words."""

from dataclasses import asdict, dataclass
from typing import Any

from tina_lite.evaluate.scoring import Comparison, Result

SIGNIFICANT = 0.05


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
too few to see less than 9 points'
    """
    low, high = (100 * bound for bound in one.ci95)
    points, word = 100 * one.difference, "better" if one.difference > 0 else "worse"
    behind = f"p = {one.p:.2g}, {one.problems} problems ({one.better} better, {one.worse} worse)"
    names = one.model, one.base
    if one.p >= SIGNIFICANT:
        told = f"{one.benchmark}: {names[0]} and {names[1]} cannot be told apart: {points:+.1f} points"
        few = f": too few to see less than {(high - low) / 2:.0f} points" if high > low else ""
        return f"{told} [{low:.1f}, {high:.1f}], {behind}{few}"
    if one.difference < 0:
        low, high = -high, -low
    told = f"{one.benchmark}: {names[0]} is {word} than {names[1]} by {abs(points):.1f} points"
    return f"{told} [{low:.1f}, {high:.1f}], {behind}"
