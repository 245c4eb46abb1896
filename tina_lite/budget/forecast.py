"""How long the next step will take, and how far the rest of the run will get, from the steps that were measured."""

from dataclasses import dataclass
from math import floor
from statistics import fmean, median

from tina_lite.budget.meter import Reading
from tina_lite.budget.stops import Limits

RECENT = 8
CAUTION = 1.1
"""Over the recent median: completions grow, and a step that does not fit must not start."""
SHORTEST_S = 1e-3
"""No step is shorter: what is affordable stays a number."""


class StepForecast:
    """Cautious: never less than the longest recent step."""

    def __init__(self, recent: list[float] | None = None) -> None:
        """`recent` are seconds of earlier steps, the latest last; later ones are added to this very list."""
        self._recent = [] if recent is None else recent

    def add(self, seconds: float) -> None:
        """Take note of a step."""
        self._recent.append(seconds)
        del self._recent[:-RECENT]

    def next_s(self) -> float:
        """Seconds that the next step may take; 0 before the first.

        >>> forecast = StepForecast()
        >>> for seconds in (1.0, 1.0, 1.4): forecast.add(seconds)
        >>> forecast.next_s()
        1.4
        """
        return max(CAUTION * median(self._recent), *self._recent) if self._recent else 0.0

    def typical_s(self) -> float | None:
        """Seconds of a step on average, without caution; None before the first."""
        return max(fmean(self._recent), SHORTEST_S) if self._recent else None


@dataclass(frozen=True, slots=True)
class Outlook:
    """The rest of a run, as it will probably go."""

    steps: int
    """Still to come."""
    seconds: float
    """Those steps and closing."""
    usd: float
    """The bill of the whole run at its end."""


def outlook(
    forecast: StepForecast, limits: Limits, steps_done: int, reading: Reading, reserve_s: float
) -> Outlook | None:
    """Steps until a limit speaks; None before the first step was measured, and where nothing limits the run."""
    typical_s = forecast.typical_s()
    left_s, _ = limits.left(reading)
    if typical_s is None or (left_s is None and limits.max_steps is None):
        return None
    bounds = [] if limits.max_steps is None else [max(0, limits.max_steps - steps_done)]
    if left_s is not None:
        # The stop rules ask for a cautious step's time before each one, so before the last one too.
        spare_s = left_s - reserve_s - max(forecast.next_s(), typical_s)
        bounds.append(1 + floor(spare_s / typical_s) if spare_s >= 0 else 0)
    seconds = min(bounds) * typical_s + reserve_s
    return Outlook(min(bounds), seconds, reading.usd_in(seconds))
