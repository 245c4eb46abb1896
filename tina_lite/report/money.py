"""The bill over time, by phase, from a ledger."""

import json
from dataclasses import dataclass
from pathlib import Path

from tina_lite.budget import read_bills
from tina_lite.budget.ledger import mean_rate
from tina_lite.budget.power import dollars
from tina_lite.errors import BadInput
from tina_lite.records import PHASES

MOST_POINTS = 240
"""A curve of more would only make the page larger."""


@dataclass(frozen=True, slots=True)
class Spent:
    """The bill at one moment."""

    hours: float
    """Of all sessions up to here."""
    usd_by_phase: dict[str, float]

    @property
    def usd(self) -> float:
        return sum(self.usd_by_phase.values())


def spent_by_phase(path: Path) -> tuple[Spent, ...]:
    """Moments in order; the last of each session is its bill, rounding-up and an unwritten heartbeat included.

    Empty where there is no ledger or it cannot be read.
    """
    try:
        bills = {bill.session: bill for bill in read_bills(path)}
    except (BadInput, OSError):
        return ()
    lines: dict[int, list[dict[str, object]]] = {}
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else ():
        try:
            line = json.loads(text)
            lines.setdefault(line["session"], []).append(line)
        except (ValueError, KeyError, TypeError):
            continue  # the torn last line
    moments: list[Spent] = []
    hours = 0.0
    before: dict[str, float] = dict.fromkeys(PHASES, 0.0)
    for session, bill in bills.items():
        for line in lines.get(session, ()):
            seconds, usd_an_hour = _so_far(lines[session][0], line)
            moments.append(
                Spent(
                    hours + sum(seconds.values()) / 3600,
                    {name: before[name] + seconds.get(name, 0.0) / 3600 * usd_an_hour for name in before},
                )
            )
        hours += bill.seconds / 3600
        of_session = {name: value / 3600 * bill.rate for name, value in bill.seconds_by_phase.items()}
        of_session["other"] = of_session.get("other", 0.0) + max(0.0, bill.usd - sum(of_session.values()))
        before = {name: before[name] + of_session.get(name, 0.0) for name in before}
        moments.append(Spent(hours, before))
    return _thinned(moments)


def _so_far(start: dict[str, object], line: dict[str, object]) -> tuple[dict[str, float], float]:
    """Seconds by phase of a session at one of its lines, and what an hour of it cost until then."""
    phases = line.get("seconds_by_phase")
    seconds = dict(phases) if isinstance(phases, dict) else {"load": float(str(line["elapsed_s"]))}
    if "joules" in line and "usd_per_kwh" in start:
        usd = dollars(float(str(line["joules"])), float(str(start["usd_per_kwh"])))
        return seconds, mean_rate(usd, sum(seconds.values()))
    return seconds, float(str(start["rate"]))


def _thinned(moments: list[Spent]) -> tuple[Spent, ...]:
    """Every n-th, and the last."""
    stride = max(1, len(moments) // MOST_POINTS)
    return (*moments[:-1:stride], *moments[-1:])
