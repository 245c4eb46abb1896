"""When a reward is broken rather than unlucky."""

from collections import Counter

from tina_lite.rewards.scoring import StepScores

BROKEN_SHARE = 0.5
"""Of the completions of a rollout on which a reward failed; more than that is not bad luck."""
BROKEN_IN_A_ROW = 4


class BrokenRewards:
    """Follows failures from rollout to rollout."""

    def __init__(self) -> None:
        self._in_a_row: Counter[str] = Counter()

    def after(self, scores: StepScores) -> list[str]:
        """The rewards that failed on more than BROKEN_SHARE of the completions in each of the last BROKEN_IN_A_ROW.

        >>> bad, good = StepScores((), {"mine": 3}, {}, 4), StepScores((), {"mine": 2}, {}, 4)
        >>> broken = BrokenRewards()
        >>> [broken.after(scores) for scores in (bad, good, bad, bad, bad, bad)]
        [[], [], [], [], [], ['mine']]
        """
        failing = {name for name, count in scores.failures.items() if count > BROKEN_SHARE * scores.completions}
        self._in_a_row = Counter({name: self._in_a_row[name] + 1 for name in failing})
        return sorted(name for name, rollouts in self._in_a_row.items() if rollouts >= BROKEN_IN_A_ROW)
