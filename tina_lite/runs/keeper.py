"""Checkpoints and the adapter of a run: when they are due, and how they get to the disk."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tina_lite.budget.meter import Meter
from tina_lite.budget.pace import Pace
from tina_lite.runs import checkpoint
from tina_lite.runs.events import CheckpointSaved, EventStream
from tina_lite.runs.files import disk_faults
from tina_lite.runs.folder import RunFolder
from tina_lite.runs.phases import Phases

if TYPE_CHECKING:
    from torch import Tensor


class Keeper:
    """Writes into one run folder, and remembers what stands there."""

    def __init__(
        self,
        folder: RunFolder,
        *,
        every_steps: int,
        every_s: float,
        keep: int,
        tensors: "Callable[[], Mapping[str, Tensor]]",
        save_adapter: Callable[[Path], None],
        pace: Pace,
        meter: Meter,
        phases: Phases,
        events: EventStream,
    ) -> None:
        """`tensors` gives the learner's state, `save_adapter` writes the adapter into a folder."""
        self._folder = folder
        self._every_steps = every_steps
        self._every_s = every_s
        self._keep = keep
        self._tensors = tensors
        self._save_adapter = save_adapter
        self._pace = pace
        self._meter = meter
        self._phases = phases
        self._events = events
        self._at_s = meter.elapsed_s()
        self.newest: int | None = None
        """Step of the newest checkpoint; None before the first."""

    def require_room(self, state_bytes: int) -> None:
        """NoRoom where the disk cannot hold the checkpoints that are kept at once, and the adapter."""
        checkpoints = self._keep + 1  # a new one is there before the oldest goes
        self._folder.require_room((checkpoints + 1) * state_bytes)

    def due(self, step: int) -> bool:
        return step % self._every_steps == 0 or self._meter.elapsed_s() - self._at_s >= self._every_s

    def save(self, step: int, state: Mapping[str, Any], *, adapter: bool, say: bool = True) -> None:
        """A checkpoint, unless there is one of this step, and the adapter where wanted; NoRoom where it cannot be."""
        started = self._meter.elapsed_s()
        with self._phases("save", step):
            if self.newest != step or step == 0:
                with disk_faults(self._folder.checkpoints):
                    self._folder.sync_logs()
                    saved = checkpoint.Checkpoint(step, self._tensors(), state)
                    path = checkpoint.save(self._folder.checkpoints, saved, keep=self._keep)
                self.newest, self._at_s = step, self._meter.elapsed_s()
                if say:
                    name = str(path.relative_to(self._folder.path))
                    self._events.emit(CheckpointSaved(step, name, round(self._at_s - started, 3)))
            if adapter:
                self.save_adapter()
        self._pace.timings.save = max(self._pace.timings.save, self._meter.elapsed_s() - started)

    def save_adapter(self) -> None:
        """In PEFT's layout."""
        with disk_faults(self._folder.adapter):
            self._folder.replace_adapter(self._save_adapter)

    def read_newest(self) -> checkpoint.SavedCheckpoint | None:
        """The newest whole checkpoint."""
        return checkpoint.newest(self._folder.checkpoints)[0]
