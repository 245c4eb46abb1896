"""When a reward is broken rather than unlucky."""

from collections import Counter
from collections.abc import Mapping

from tina_lite.rewards.scoring import StepScores

BROKEN_SHARE = 0.5
"""Of the completions of a rollout on which a reward failed; more than that is not bad luck."""
BROKEN_IN_A_ROW = 4


class BrokenRewards:
    """Follows failures from rollout to rollout, since the start or the resume of a run."""

    def __init__(self, most: Mapping[str, int]) -> None:
        """`most`: completions on which a reward may fail in all, by name; a reward without is judged by its share."""
        self._most = most
        self._in_a_row: Counter[str] = Counter()
        self._in_all: Counter[str] = Counter()

    def after(self, scores: StepScores) -> list[str]:
        """Rewards that failed on more completions than they may, or on more than BROKEN_SHARE BROKEN_IN_A_ROW times.

        >>> bad, good = StepScores((), {"mine": 3}, {}, 4), StepScores((), {"mine": 2}, {}, 4)
        >>> broken, strict = BrokenRewards({}), BrokenRewards({"mine": 5})
        >>> [broken.after(scores) for scores in (bad, good, bad, bad, bad, bad)]
        [[], [], [], [], [], ['mine']]
        >>> [strict.after(scores) for scores in (bad, good, good)]
        [[], [], ['mine']]
        """
        failing = {name for name, count in scores.failures.items() if count > BROKEN_SHARE * scores.completions}
        self._in_a_row = Counter({name: self._in_a_row[name] + 1 for name in failing})
        self._in_all.update(scores.failures)
        return sorted(name for name in self._in_all if self._is_broken(name))

    def _is_broken(self, name: str) -> bool:
        if name in self._most:
            return self._in_all[name] > self._most[name]
        return self._in_a_row[name] >= BROKEN_IN_A_ROW
