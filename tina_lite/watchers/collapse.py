"""Signs that a policy has collapsed, seen in a run's own metrics.

| sign | what |
| --- | --- |
| entropy | the mean entropy at the trained tokens is near 0: nothing is left to explore |
| equal | in every group all completions are the same text |
| length | most completions run into rollout.max_completion_length |
| reward | smoothed, it has fallen below half of its best |

One step proves nothing: a sign counts once it has held for several in a row.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tina_lite.recorder import StepRecord
from tina_lite.runs.session import Session
from tina_lite.stateful import Fields

IN_A_ROW = 5
LEAST_ENTROPY = 0.01
"""Nats a token."""
MOST_TRUNCATED = 0.5
FALLEN = 0.5
"""Of the best smoothed reward."""
SMOOTHING = 0.1
"""Weight of the newest step in the smoothed reward."""
SETTLED = 10
"""Steps before the smoothed reward says something."""


@dataclass(slots=True)
class CollapseSigns(Fields):
    """Follows a run from step to step; a checkpoint keeps all of it."""

    held: dict[str, int] = field(default_factory=dict)
    """Steps in a row for which each sign has held."""
    steps: int = 0
    reward: float = 0.0
    """Smoothed."""
    best: float = 0.0
    """The highest that the smoothed reward has been."""

    def after(self, metrics: Mapping[str, float]) -> list[str]:
        """Take note of a step; what there is to say of signs that count from this step on."""
        self._smooth(metrics["reward"])
        said = self._signs(metrics)
        self.held = {sign: self.held.get(sign, 0) + 1 for sign in said}
        return [said[sign] for sign, steps in self.held.items() if steps == IN_A_ROW]

    @property
    def collapsed(self) -> bool:
        return any(steps >= IN_A_ROW for steps in self.held.values())

    def _smooth(self, reward: float) -> None:
        self.steps += 1
        self.reward += (reward - self.reward) * max(SMOOTHING, 1 / self.steps)
        if self.steps >= SETTLED:
            self.best = max(self.best, self.reward)

    def _signs(self, metrics: Mapping[str, float]) -> dict[str, str]:
        """By sign, what a person is told; rewards that never were above 0 have no half."""
        found = {}
        if (entropy := metrics.get("entropy", 1.0)) < LEAST_ENTROPY:
            found["entropy"] = f"entropy is {entropy:.4f} nats a token: the policy explores no more"
        if metrics["frac_completions_equal"] == 1.0:
            found["equal"] = "in every group all completions are the same text: nothing can be learnt from them"
        if (truncated := metrics["completions/clipped_ratio"]) > MOST_TRUNCATED:
            found["length"] = f"{truncated:.0%} of the completions run into rollout.max_completion_length"
        if self.steps >= SETTLED and self.reward < FALLEN * self.best:
            found["reward"] = f"the reward has fallen to {self.reward:.3g} from {self.best:.3g}, both smoothed"
        return found


@dataclass(slots=True)
class CollapseWatch:
    """Says which signs count, and ends the run where the recipe wants that."""

    session: Session
    ends_run: bool
    _signs: CollapseSigns = field(default_factory=CollapseSigns)

    def look(self, record: StepRecord) -> None:
        for sign in self._signs.after(record.metrics):
            self.session.notice(f"step {record.step}: {sign}")

    @property
    def stop_reason(self) -> str | None:
        return "collapse" if self.ends_run and self._signs.collapsed else None

    def state(self) -> Any:
        return self._signs.state()

    def load_state(self, state: Any) -> None:
        self._signs.load_state(state)
