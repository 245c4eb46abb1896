"""What a run's metrics have been so far, as far as rules of health look back."""

import math
from collections import deque
from collections.abc import Callable, Mapping
from statistics import median

RECENT = 5
"""One step may be an accident: rules ask for the median of so many, or for all of them."""
LOOKED_AT = 40
"""Latest steps that are kept: not every one has an entropy or a gradient."""
SMOOTHING = 0.1
"""Weight of the newest step in the smoothed reward."""
SETTLED = 10
"""Steps before the smoothed reward says something."""


class Past:
    """Grows by a step at a time, and stays as small as it is.

    Metrics have the names of metrics.jsonl. Any may be missing or NaN, which is no value.
    """

    def __init__(self) -> None:
        self.latest: deque[Mapping[str, float]] = deque(maxlen=LOOKED_AT)
        self.steps = 0
        """That had a reward."""
        self.trained_steps = 0
        self.flat_for = 0
        """Steps in a row in which the mean reward was 0."""
        self.worst, self.best = math.inf, -math.inf
        """Of the rewards."""
        self.smooth, self.best_smooth = 0.0, 0.0
        """The reward, smoothed, and the highest that it has been."""
        self._first: dict[str, list[float]] = {}

    def see(self, metrics: Mapping[str, float]) -> None:
        """Take note of one more step."""
        self.latest.append(metrics)
        self.trained_steps += "entropy" in metrics
        for name, value in metrics.items():
            if math.isfinite(value) and len(first := self._first.setdefault(name, [])) < RECENT:
                first.append(value)
        if math.isfinite(reward := metrics.get("reward", math.nan)):
            self._see_reward(reward)

    def _see_reward(self, reward: float) -> None:
        self.steps += 1
        self.flat_for = 0 if reward else self.flat_for + 1
        self.worst, self.best = min(self.worst, reward), max(self.best, reward)
        self.smooth += (reward - self.smooth) * max(SMOOTHING, 1 / self.steps)
        if self.steps >= SETTLED:
            self.best_smooth = max(self.best_smooth, self.smooth)

    def recent(self, metric: str, before: int = 0, counts: Callable[[float], bool] = math.isfinite) -> float | None:
        """The median of its latest values, or of those `before` so many later ones; None where there are too few.

        Values that do not count are passed over, as those of steps without a gradient.
        """
        reach = list(self.latest)[max(0, len(self.latest) - 2 * (RECENT + before)) :]
        values = [value for row in reach if math.isfinite(value := row.get(metric, math.nan)) and counts(value)]
        values = values[: len(values) - before][-RECENT:] if before else values[-RECENT:]
        return median(values) if len(values) == RECENT else None

    def at_first(self, metric: str) -> float | None:
        """The median of its first values; None before there are enough."""
        first = self._first.get(metric, [])
        return median(first) if len(first) == RECENT else None

    def always(self, holds: Callable[[Mapping[str, float]], bool], steps: int = RECENT) -> bool:
        """Whether something has held for the latest `steps`."""
        return len(self.latest) >= steps and all(map(holds, list(self.latest)[-steps:]))
