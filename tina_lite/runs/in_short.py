"""A long log in short: events that come to the state that all of them would, without reading most of the lines.

Of the steps every so many is left, and the best; of the phases between two evaluations, what each of them cost.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from tina_lite.records import PhaseName
from tina_lite.runs.events import PhaseChanged, Stamped
from tina_lite.runs.look import begins, event_of

WHOLE = 1000
"""The last lines are told as they are: some 250 steps."""
STEPS = 4000
"""So many are left of those before."""
STEP, PHASE, EVAL, STARTED = begins("step", "phase", "eval", "run_started")
_PHASE = re.compile(rb'"usd": ([-+.e\d]+), "phase": "(\w+)"')
_TOTAL = re.compile(rb'"sample": \{.*?"total": ([-+.e\d]+), "advantage"', re.DOTALL)


def in_short(lines: Sequence[bytes]) -> Iterator[Stamped]:
    """The events of a log's lines; every one where there are not many."""
    earlier = lines[:-WHOLE]
    steps, phases = _steps(earlier), _Phases()
    for at, line in enumerate(earlier):
        if line.startswith(PHASE):
            yield from phases.pass_over(line)
        elif not line.startswith(STEP) or at in steps:
            if line.startswith((EVAL, STARTED)):
                yield from phases.told(over=line.startswith(STARTED))
            yield from event_of(line)
    yield from phases.told()
    for line in lines[-WHOLE:]:
        yield from event_of(line)


def _steps(lines: Sequence[bytes]) -> set[int]:
    """Of which steps to tell: by the places of their lines."""
    places = [at for at, line in enumerate(lines) if line.startswith(STEP)]
    if len(places) <= STEPS:
        return set(places)
    totals = ((float(found[1]), at) for at in places if (found := _TOTAL.search(lines[at])))
    return {*places[:: -(-len(places) // STEPS)], max(totals, default=(0.0, places[0]))[1]}


class _Phases:
    """Phases that were passed over, with the dollars that went to each."""

    def __init__(self) -> None:
        self._spent: dict[PhaseName, float] = {}
        self._under_way: tuple[float, PhaseName] | None = None
        """The bill at its begin, and its name; None before the first of a session."""
        self._latest = b""

    def pass_over(self, line: bytes) -> Iterator[Stamped]:
        """The first phase of a session is told at once."""
        found = _PHASE.search(line)
        if found is None:
            return
        if self._under_way is None:
            yield from event_of(line)
        else:
            began, name = self._under_way
            self._spent[name] = self._spent.get(name, 0.0) + float(found[1]) - began
            self._latest = line
        self._under_way = float(found[1]), found[2].decode()  # type: ignore[assignment]

    def told(self, over: bool = False) -> Iterator[Stamped]:
        """Each phase once, as long as it was in all, and the latest as it was; `over` says that a session begins."""
        latest = next(iter(event_of(self._latest)), None)
        if latest is not None and isinstance(latest.event, PhaseChanged):
            usd = latest.usd - sum(self._spent.values())
            for number, (name, spent) in enumerate(self._spent.items()):
                if number:  # the first of them is under way
                    yield replace(latest, usd=usd, event=replace(latest.event, phase=name))
                usd += spent
            yield latest
        self._spent, self._latest = {}, b""
        if over:
            self._under_way = None
