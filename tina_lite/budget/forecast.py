"""How long the next step will take, from those that were measured."""

from collections import deque
from statistics import median

RECENT = 8
CAUTION = 1.1
"""Over the recent median: completions grow, and a step that does not fit must not start."""


class StepForecast:
    """Cautious: never less than the longest recent step."""

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=RECENT)

    def add(self, seconds: float) -> None:
        """Take note of a step."""
        self._recent.append(seconds)

    def next_s(self) -> float:
        """Seconds that the next step may take; 0 before the first.

        >>> forecast = StepForecast()
        >>> for seconds in (1.0, 1.0, 1.4): forecast.add(seconds)
        >>> forecast.next_s()
        1.4
        """
        return max(CAUTION * median(self._recent), *self._recent) if self._recent else 0.0
