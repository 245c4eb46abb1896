"""The learning rate of a step: over how many steps it is laid out, and how far along it is."""

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from tina_lite import grpo
from tina_lite.recipe.schema import OptimSection
from tina_lite.runs.session import Session
from tina_lite.util.stateful import Fields, read_as

ETA_AFTER = 2
"""Steps of a session after which it is known what the budget can pay for; the first is slower than the others."""


@dataclass(slots=True)
class LaidOut(Fields):
    """What a schedule has settled; a checkpoint keeps it."""

    started_s: float | None = None
    """Seconds of all sessions before the first step."""
    lr_progress: Annotated[float, read_as("lr_progress", "horizon")] = 0.0
    """Share of the schedule that is done."""
    schedule_steps: Annotated[int, Field(ge=1)] | None = None
    """Over which it is laid out, once that is known; it stays so."""


@dataclass(slots=True)
class Schedule:
    """The warm-up and decay of one run."""

    session: Session
    optim: OptimSection
    steps: int
    """That the recipe lays it out over."""
    one_epoch: bool
    """Whether that is one epoch, as the recipe names no number; the budget may pay for less."""
    kept: LaidOut = field(default_factory=LaidOut)

    def at(self, step: int) -> float:
        """Give the learning rate; it is to be asked for once a step."""
        kept, optim = self.kept, self.optim
        if kept.started_s is None:
            kept.started_s = self.session.meter.read().total_s
        lr_progress = step / self._steps(step)
        if optim.lr_horizon == "budget":
            lr_progress = self.session.deadlines.lr_progress(
                lr_progress, kept.started_s, self.session.state.step_tokens
            )
        kept.lr_progress = max(kept.lr_progress, lr_progress)
        return grpo.learning_rate(
            kept.lr_progress, optim.learning_rate, optim.lr_scheduler_type, optim.warmup_ratio, optim.min_lr_ratio
        )

    def warn_if_changed(self) -> None:
        """Of a resumed run: where the recipe asks for other steps now, it stays laid out as it was."""
        laid_out = self.kept.schedule_steps
        if laid_out is not None and not self.one_epoch and laid_out != self.steps:
            self.session.warn(
                f"the learning rate was laid out over {laid_out} steps when the run began, and stays so, though the "
                f"recipe says {self.steps} now"
            )

    def _steps(self, step: int) -> int:
        """Over how many steps it is laid out.

        One epoch may be far more than the budget pays for, and the rate would never leave its warm-up: as soon as the
        speed is known it is as many steps as there will be.
        """
        kept, deadlines = self.kept, self.session.deadlines
        if kept.schedule_steps is None:
            ahead = deadlines.eta() if self.one_epoch and step > ETA_AFTER else None
            if not self.one_epoch:
                kept.schedule_steps = self.steps
            elif ahead is not None:
                steps = kept.schedule_steps = max(step, min(self.steps, step - 1 + ahead.steps))
                if steps < self.steps:
                    self.session.warn(
                        f"the learning rate is laid out over {steps} steps, which {deadlines.left().limit} pays for; "
                        f"one epoch would be {self.steps}. stop.max_steps sets it"
                    )
        return kept.schedule_steps or self.steps
