"""The one bill of a sweep: of each machine the time in which anything of the sweep ran on it, times its rate.

What two trials do at the same time on one machine is paid once, and so is a slot that stands empty beside them.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tina_lite.budget import read_bills
from tina_lite.sweep.journal import Place

OWN = "own"
"""The driver's machine."""
SLACK_S = 1.0
"""By how much two machines' clocks, or a process's age, may be off."""

Span = tuple[float, float]
"""From and to, Unix time."""


def spans_of(ledger: Path) -> list[Span]:
    """When the sessions of a ledger ran; none where there is no ledger yet."""
    return [(bill.began_at, bill.began_at + bill.seconds) for bill in read_bills(ledger)]


def machine_seconds(spans: Iterable[Span]) -> float:
    """How long anything ran: what overlaps counts once.

    >>> machine_seconds([(0, 10), (5, 12), (20, 21)])
    13.0
    """
    total, reached = 0.0, float("-inf")
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return total


def by_machine(
    driver: Sequence[Span], trials: Mapping[int, Sequence[Span]], placed: Iterable[Place]
) -> dict[str, list[Span]]:
    """Sessions by the machine that they ran on.

    Args:
        driver: sessions of the driver.
        trials: those of trials, by number.
        placed: where each was started.
    """
    found: dict[str, list[Span]] = {OWN: list(driver)}
    starts: dict[int, list[Place]] = {}
    for place in placed:
        starts.setdefault(place.trial, []).append(place)
    for number, spans in trials.items():
        for span in spans:
            before = [place.machine for place in starts.get(number, []) if place.at <= span[0] + SLACK_S]
            found.setdefault(before[-1] if before else OWN, []).append(span)
    return found
