"""A condition on a metric, as a person writes it: `reward >= 0.9`, `reward >= 0.9 for 5`."""

import operator
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

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
    """A comparison of one metric with a number."""

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
