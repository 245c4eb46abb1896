"""The metrics of a run's steps, in columns: one step more costs the same late in a run as early."""

import math
from array import array
from collections.abc import Mapping

from tina_lite.health import LOOKED_AT


class History:
    """The steps so far. It never changes; what `plus` adds to is shared with it, as far as it goes."""

    __slots__ = ("_columns", "_numbers", "first", "recent", "steps")

    def __init__(self) -> None:
        self.steps = 0
        """How many."""
        self.first: Mapping[str, float] = {}
        """Metrics of the first."""
        self.recent: tuple[Mapping[str, float], ...] = ()
        """Metrics of the latest, as many as tina_lite.health looks at; the last comes last."""
        self._numbers = array("q")
        self._columns: dict[str, array[float]] = {}

    @property
    def number(self) -> int:
        """Of the latest step; 0 before there is one."""
        return self._numbers[self.steps - 1] if self.steps else 0

    @property
    def latest(self) -> Mapping[str, float]:
        return self.recent[-1] if self.recent else {}

    def plus(self, number: int, metrics: Mapping[str, float]) -> "History":
        """With one more step."""
        more = self._shared() if len(self._numbers) == self.steps else self._copied(self.steps)
        for name in metrics.keys() - more._columns.keys():
            more._columns[name] = array("d", [math.nan]) * self.steps
        more._numbers.append(number)
        for name, column in more._columns.items():
            column.append(metrics.get(name, math.nan))
        more.steps, more.first = self.steps + 1, self.first or metrics
        more.recent = (*self.recent, metrics)[-LOOKED_AT:]
        return more

    def up_to(self, number: int) -> "History":
        """Without the steps behind this one."""
        steps = next((at for at in range(self.steps, 0, -1) if self._numbers[at - 1] <= number), 0)
        kept = self._copied(steps)
        kept.steps, kept.first = steps, self.first if steps else {}
        kept.recent = tuple(
            {name: column[at] for name, column in kept._columns.items()}
            for at in range(max(0, steps - LOOKED_AT), steps)
        )
        return kept

    def series(self, metric: str) -> list[float]:
        """A metric over the steps, where it is known and finite."""
        return [value for value in self._columns.get(metric, ())[: self.steps] if math.isfinite(value)]

    def _shared(self) -> "History":
        more = History()
        more._numbers, more._columns = self._numbers, self._columns
        return more

    def _copied(self, steps: int) -> "History":
        more = History()
        more._numbers = self._numbers[:steps]
        more._columns = {name: column[:steps] for name, column in self._columns.items()}
        return more
