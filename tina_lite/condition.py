"""A condition on a metric, as a person writes it: `reward >= 0.9`."""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_WRITTEN = re.compile(r"\s*([A-Za-z][\w/.-]*)\s*(>=|<=|>|<)\s*([-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)\s*")


@dataclass(frozen=True, slots=True)
class Condition:
    """A comparison of one metric with a number."""

    metric: str
    comparison: str
    threshold: float

    @classmethod
    def parse(cls, text: str) -> "Condition":
        """ValueError where the text is not one metric, one comparison, one number.

        >>> Condition.parse("rewards/accuracy/mean>=0.9")
        Condition(metric='rewards/accuracy/mean', comparison='>=', threshold=0.9)
        """
        found = _WRITTEN.fullmatch(text)
        try:
            return cls(found[1], found[2], float(found[3])) if found else _refuse(text)
        except ValueError:
            return _refuse(text)

    def holds(self, metrics: Mapping[str, object]) -> bool | None:
        """None where there is no such metric."""
        value = metrics.get(self.metric)
        if not isinstance(value, int | float):
            return None
        return COMPARISONS[self.comparison](float(value), self.threshold)


def _refuse(text: str) -> Condition:
    raise ValueError(
        f"needs a metric, one of {' '.join(COMPARISONS)} and a number, such as reward>=0.9; found {text!r}"
    )
