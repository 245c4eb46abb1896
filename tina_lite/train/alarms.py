"""Callbacks that look at a run's health: what is amiss is said, and what is hopeless or has collapsed may end it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from tina_lite.runs.events import AlarmRaised
from tina_lite.runs.health import COLLAPSED_ENTROPY, COLLAPSED_REWARD, COLLAPSED_TRUNCATION, LOOKED_AT, alarms
from tina_lite.runs.look import records
from tina_lite.runs.session import Session
from tina_lite.train.callbacks import Callback
from tina_lite.train.recorder import StepRecord
from tina_lite.util.records import with_nan
from tina_lite.util.stateful import Fields

IN_A_ROW = 5
SMOOTHING = 0.1
"""Weight of the newest step in the smoothed reward."""
SETTLED = 10
"""Steps before the smoothed reward says something."""


@dataclass(slots=True)
class CollapseSigns(Fields):
    """Signs that a policy has collapsed, seen in a run's own metrics; a checkpoint keeps all of it.

    | sign | what |
    | --- | --- |
    | entropy | the mean entropy at the trained tokens is near 0: nothing is left to explore |
    | equal | in every group all completions are the same text |
    | length | most completions run into rollout.max_completion_length |
    | reward | smoothed, it has fallen below half of its best |

    One step proves nothing: a sign counts once it has held for several in a row.
    """

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
        if (entropy := metrics.get("entropy", 1.0)) < COLLAPSED_ENTROPY:
            found["entropy"] = f"entropy is {entropy:.4f} nats a token: the policy explores no more"
        if metrics["frac_completions_equal"] == 1.0:
            found["equal"] = "in every group all completions are the same text: nothing can be learnt from them"
        if (truncated := metrics["completions/clipped_ratio"]) > COLLAPSED_TRUNCATION:
            found["length"] = f"{truncated:.0%} of the completions run into rollout.max_completion_length"
        if self.steps >= SETTLED and self.reward < COLLAPSED_REWARD * self.best:
            found["reward"] = f"the reward has fallen to {self.reward:.3g} from {self.best:.3g}, both smoothed"
        return found


class CollapseWatch(Callback):
    """Says which signs count, and ends the run where the recipe wants that."""

    def __init__(self, session: Session, ends_run: bool) -> None:
        self._session = session
        self._ends_run = ends_run
        self.kept: CollapseSigns = CollapseSigns()

    def after_step(self, record: StepRecord) -> None:
        for sign in self.kept.after(record.metrics):
            self._session.warn(f"step {record.step}: {sign}")

    @property
    def stop_reason(self) -> str | None:
        return "collapse" if self._ends_run and self.kept.collapsed else None


class HealthWatch(Callback):
    """Says what is amiss and what to try, each once until it was over in between: a log is all that many look at."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._history: list[Mapping[str, float]] = []
        self._rewards: list[float] = []
        self._told: set[str] = set()

    def on_begin(self) -> None:
        """A resumed run has its metrics behind it, and what was amiss then was told."""
        for row in records(self._session.folder.path / "metrics.jsonl"):
            self._see(with_nan(row))
        self._told = {alarm.name for alarm in alarms(self._history, self._rewards)}

    def after_step(self, record: StepRecord) -> None:
        self._see(record.metrics)
        found = alarms(self._history, self._rewards)
        for alarm in found:
            if alarm.name not in self._told:
                self._session.events.emit(AlarmRaised(record.step, alarm.name, alarm.words, alarm.advice))
        self._told = {alarm.name for alarm in found}

    def _see(self, metrics: Mapping[str, float]) -> None:
        self._history = [*self._history[1 - LOOKED_AT :], metrics]
        if math.isfinite(reward := metrics.get("reward", math.nan)):
            self._rewards.append(reward)


class HopelessWatch(Callback):
    """Ends a run that learns nothing while there is money left. A resume counts anew: its data may be others."""

    def __init__(self, session: Session, most: int) -> None:
        self._session = session
        self._most = most
        self._steps = 0

    def after_step(self, record: StepRecord) -> None:
        self._steps = 0 if record.update.trained_tokens else self._steps + 1
        if self._steps == self._most:
            self._session.warn(
                f"{self._most} steps in a row had nothing to learn from, so the run ends with the money left; mend the "
                f"reward, then: tina-lite resume {self._session.folder.path}; stop.hopeless: null lets it go on"
            )

    @property
    def stop_reason(self) -> str | None:
        return "hopeless" if self._steps >= self._most else None


class TruncationWatch(Callback):
    """Says so once: nothing that is right can be told from what is not finished."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def after_step(self, record: StepRecord) -> None:
        if record.metrics["completions/clipped_ratio"] == 1:
            self._session.warn_once(
                f"all completions of step {record.step} were cut off before they ended; rollout.max_completion_length "
                "may be too short",
                "cut off",
            )
