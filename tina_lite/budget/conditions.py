"""When a run ends by a wish of its user: a condition on metrics, and a time of day."""

import operator
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_WRITTEN = re.compile(
    r"\s*([A-Za-z][\w/.-]*)\s*(>=|<=|>|<)\s*([-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)"
    r"(?:\s+for\s+([1-9][0-9]{0,8})(?:\s+steps?)?)?\s*",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Condition:
    """Compares one metric with a number."""

    metric: str
    comparison: str
    threshold: float
    steps: int | None = None
    """In a row that it must hold; None where the text does not say."""

    @classmethod
    def parse(cls, text: str) -> "Condition":
        """ValueError where the text is not one metric, one comparison, one number, and `for` so many steps if need be.

        >>> Condition.parse("rewards/accuracy/mean>=0.9 for 5")
        Condition(metric='rewards/accuracy/mean', comparison='>=', threshold=0.9, steps=5)
        """
        found = _WRITTEN.fullmatch(text)
        if found:
            with suppress(ValueError):  # such as 1.2.3
                return cls(found[1], found[2], float(found[3]), int(found[4]) if found[4] else None)
        raise ValueError(
            f"needs a metric, one of {' '.join(COMPARISONS)} and a number, such as reward>=0.9 or reward>=0.9 for 5"
        )

    def holds(self, metrics: Mapping[str, object]) -> bool | None:
        """None where there is no such metric."""
        value = metrics.get(self.metric)
        if not isinstance(value, int | float):
            return None
        return COMPARISONS[self.comparison](float(value), self.threshold)


_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)\s*h)?\s*(?:(\d+(?:\.\d+)?)\s*m(?:in)?)?\s*(?:(\d+(?:\.\d+)?)\s*s)?")


def seconds_until(text: str, now: datetime) -> float:
    """Seconds from `now` to the next HH:MM of this machine's zone, or those of a duration; ValueError otherwise.

    An hour that summer time takes away or gives twice is reckoned with: of a time that comes twice, the first to come.

    >>> seconds_until("07:30", datetime(2026, 1, 1, 23, 30))
    28800.0
    >>> [seconds_until(text, datetime(2026, 1, 1)) for text in ("90m", "1h 30m", "45s")]
    [5400.0, 5400.0, 45.0]
    """
    text = text.strip()
    clock = re.fullmatch(r"(\d{1,2}):(\d{2})", text)
    if clock and int(clock[1]) < 24 and int(clock[2]) < 60:
        today = now.replace(hour=int(clock[1]), minute=int(clock[2]), second=0, microsecond=0, tzinfo=None)
        moments = (day.replace(fold=fold).timestamp() for day in (today, today + timedelta(days=1)) for fold in (0, 1))
        return min(moment for moment in moments if moment > now.timestamp()) - now.timestamp()
    parts = _DURATION.fullmatch(text)
    if parts and any(parts.groups()):
        hours, minutes, seconds = (float(part or 0) for part in parts.groups())
        if total := hours * 3600 + minutes * 60 + seconds:
            return total
    raise ValueError("needs a time of day such as 07:30 or a duration such as 90m, 1h30m or 45s")
