"""The turning point: where completions begin to grow while the format reward begins to fall.

In the paper (Tina, arXiv 2504.15777, section 5) the best checkpoint stands at or just before it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tina_lite.runs.checkpoint import steps_in
from tina_lite.runs.events import LogLine
from tina_lite.runs.session import Session
from tina_lite.runs.state import Count
from tina_lite.train.callbacks import Callback
from tina_lite.train.recorder import StepRecord
from tina_lite.util.stateful import Fields

LENGTH, FORMAT = "completions/mean_length", "rewards/format/mean"
REFERENCE = 30
"""Steps before the turn that the steps behind it are compared with,"""
LEAST = 20
"""and so many at least."""
SLACK = 1.2
"""Standard deviations that are no sign: half of a turn of 2 in both series, which together are 2.8."""
BOUND = 5.0
"""Of the sum above the slack. bench/turning_point.py measures how often it speaks in vain, and how late."""
MOST = 4.0
"""Standard deviations that one step counts for: one step may be an accident."""


@dataclass(slots=True)
class TurnTest(Fields):
    """A one-sided CUSUM (Page, Biometrika 41, 1954) over length and format reward together; a checkpoint keeps it.

    Each step's two deviations from the `REFERENCE` steps before the sum began to rise are added, length upwards and
    format downwards, in standard deviations. Once the sum passes `BOUND`, it turned where the sum began to rise.
    """

    lengths: list[float] = field(default_factory=list)
    formats: list[float] = field(default_factory=list)
    rising: Count = 0
    """Steps for which the sum has been above 0; they are the last of the lists."""
    total: float = 0.0
    step: Count = 0
    """That it turned at; 0 before there was one."""
    seen_step: Count = 0
    """At which that was known."""
    seen_usd: float = 0.0
    usd_planned: float | None = None
    checkpoint: Count = 0
    """The newest at or before the turn; it outlives newer ones."""

    def after(self, step: int, length: float, format_reward: float) -> bool:
        """Take note of a step; whether it is known from now on that it turned."""
        z = self._deviation(length, format_reward)
        self.total = max(0.0, self.total + z - SLACK)
        self.rising = self.rising + 1 if self.total else 0
        for values, value in ((self.lengths, length), (self.formats, format_reward)):
            values.append(value)
            del values[: -(REFERENCE + self.rising)]
        if self.step or self.total <= BOUND:
            return False
        self.step, self.seen_step = step - self.rising + 1, step
        return True

    def _deviation(self, length: float, format_reward: float) -> float:
        """Of a step, in standard deviations of the two together."""
        reference = [values[: len(values) - self.rising][-REFERENCE:] for values in (self.lengths, self.formats)]
        if len(reference[0]) < LEAST:
            return 0.0
        up, down = (_deviations(*one) for one in zip(reference, (length, format_reward), strict=True))
        return max(-MOST, min(MOST, (up - down) / math.sqrt(2)))


def _deviations(values: Sequence[float], value: float) -> float:
    """How far a value is from the mean of others, in their standard deviations; 0 where they have none."""
    mean = sum(values) / len(values)
    variance = sum((one - mean) ** 2 for one in values) / (len(values) - 1)
    return (value - mean) / math.sqrt(variance) if variance else 0.0


class TurningPoint(Callback):
    """Marks the turning point, and ends the run some steps behind it where the recipe wants that."""

    def __init__(self, session: Session, patience: int | None) -> None:
        """`patience`: steps that the run still takes once the turn is known; None: as many as it likes."""
        self._session = session
        self._patience = patience
        self.kept: TurnTest = TurnTest()

    def after_step(self, record: StepRecord) -> None:
        length, reward = (record.metrics.get(name, math.nan) for name in (LENGTH, FORMAT))
        if not (math.isfinite(length) and math.isfinite(reward)) or not self.kept.after(record.step, length, reward):
            return
        session, kept = self._session, self.kept
        ahead = session.deadlines.eta()
        kept.checkpoint = max((step for step in steps_in(session.folder.checkpoints) if step <= kept.step), default=0)
        kept.seen_usd = session.meter.usd()
        kept.usd_planned = ahead.usd if ahead else None
        said = (
            f"turning point: from step {kept.step} on completions grow and the format reward falls; in the paper the "
        )
        said += f"best checkpoint stands at or just before it, and that of step {kept.checkpoint} is kept"
        session.events.emit(LogLine("info", said))

    @property
    def stop_reason(self) -> str | None:
        behind = self._session.state.step - self.kept.seen_step
        ends = self._patience is not None and self.kept.step and behind >= self._patience
        return "turning_point" if ends else None

    def summary(self) -> Mapping[str, Any]:
        fields = ("step", "checkpoint", "seen_step", "seen_usd", "usd_planned")
        return {"turning_point": {name: getattr(self.kept, name) for name in fields} if self.kept.step else None}
