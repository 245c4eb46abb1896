"""Checkpoints and the adapter of a run: when they are due, what they hold, and how they get to the disk."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tina_lite.recipe.schema import CheckpointSection
from tina_lite.runs import checkpoint
from tina_lite.runs.events import CheckpointSaved
from tina_lite.runs.identity import Identity
from tina_lite.runs.session import Session
from tina_lite.runs.state import CheckpointState
from tina_lite.util.disk import disk_faults
from tina_lite.util.stateful import Stateful

if TYPE_CHECKING:
    from torch import Tensor

FACTS = ("evals", "timings", "choices")
"""Parts that stay as they are where a step is taken back: what was measured is no less true."""


class Learns(Protocol):
    """What is asked of the learner here."""

    updated_at: int

    @property
    def state_bytes(self) -> int: ...

    def state(self) -> "dict[str, Tensor]": ...

    def load_state(self, tensors: "Mapping[str, Tensor]") -> None: ...

    def undo(self) -> None: ...


class CheckpointManager:
    """Keeps what must survive: the learner's tensors, and the state of every part, each by its name."""

    def __init__(
        self,
        session: Session,
        settings: CheckpointSection,
        learner: Learns,
        save_adapter: Callable[[Path], None],
        identity: Identity,
        *,
        keep_best: bool = False,
        keep_steps: Callable[[], set[int]] = set,
    ) -> None:
        """`save_adapter` writes the adapter into a folder; `keep_best`: of the best evaluation too.

        `keep_steps` gives steps whose checkpoints outlive newer ones.
        """
        self._session = session
        self._settings = settings
        self._learner = learner
        self._save_adapter = save_adapter
        self._keep_best = keep_best
        self._identity = asdict(identity)
        self.parts: dict[str, Stateful] = {"state": session.state, "timings": session.deadlines}
        """What is kept beside tensors, by name; whoever joins in before the first snapshot is in it."""
        self._keep_steps = keep_steps
        self._at_s = session.meter.elapsed_s()
        self._fell_back = False
        self.newest: int | None = None
        """Step of the newest checkpoint; None before the first."""
        self._whole: Mapping[str, Any] = {}

    def snapshot(self) -> None:
        """All is whole now: this is what is saved, and gone back to."""
        parts = {name: part.state() for name, part in self.parts.items()}
        self._whole = {**parts, "log_sizes": self._session.folder.log_sizes(), "identity": self._identity}

    def rollback(self) -> None:
        """As if the step under way had not begun; what was measured stays."""
        step = int(self._whole["state"]["step"])
        if self._learner.updated_at > step:
            self._learner.undo()
        for name, part in self.parts.items():
            if name not in FACTS:
                part.load_state(self._whole[name])

    def restore(self, kept: CheckpointState) -> None:
        """Go on from a checkpoint."""
        self._learner.load_state(kept.saved.tensors)
        for name, part in self.parts.items():
            kept.hand_to(name, part)
        self.newest = kept.step
        self.snapshot()

    def save_on_error(self) -> int | None:
        """Save the last whole step after whatever ended the loop. Its number; None where it cannot be saved."""
        if self._fell_back:
            return self.newest
        self.rollback()
        self.save(adapter=True)
        return self._session.state.step

    def fall_back(self) -> int:
        """The adapter of the newest checkpoint, which is older than bad steps; its step, 0 where there is none."""
        self._fell_back = True
        saved, _ = checkpoint.newest(self._session.folder.checkpoints)
        if saved is None:
            return 0
        self._learner.load_state(saved.tensors)
        self.save_adapter()
        return saved.step

    def require_room(self) -> None:
        """NoRoom where the disk cannot hold the checkpoints that are kept at once, and the adapter."""
        checkpoints = self._settings.keep + 2  # the best, and a new one is there before the oldest goes
        self._session.folder.require_room((checkpoints + 1) * self._learner.state_bytes)

    def save_when_due(self) -> None:
        """By steps or minutes."""
        state, minutes = self._session.state, self._settings.every_minutes
        late = minutes is not None and self._session.meter.elapsed_s() - self._at_s >= 60 * minutes
        if state.step % self._settings.every_steps == 0 or late:
            self.save()

    def save(self, *, adapter: bool = False, announce: bool = True) -> None:
        """A checkpoint of what is whole, unless there is one, and the adapter where wanted; NoRoom on a full disk."""
        session, step = self._session, int(self._whole["state"]["step"])
        with session.phases("save", step) as phase:
            if self.newest != step or step == 0:
                with disk_faults(session.folder.checkpoints):
                    session.folder.sync_logs()
                    saved = checkpoint.Checkpoint(step, self._learner.state(), self._whole)
                    kept, most = self._keep_steps() - {0}, self._settings.keep
                    path = checkpoint.save(session.folder.checkpoints, saved, keep=most, keep_steps=kept)
                self.newest, self._at_s = step, session.meter.elapsed_s()
                if announce:
                    name = str(path.relative_to(session.folder.path))
                    session.events.emit(CheckpointSaved(step, name, round(phase.seconds, 3)))
            if adapter:
                self.save_adapter()

    def save_best(self) -> None:
        """What has just been measured as the best: a checkpoint that outlives newer ones, and its adapter if wanted.

        The adapter comes first: a checkpoint that calls a step the best must not stand beside the adapter of another.
        """
        if self._keep_best:
            self._write_adapter(self._session.folder.best_adapter)
        self.save()

    def save_adapter(self) -> None:
        """Write the adapter in PEFT's layout."""
        self._write_adapter(self._session.folder.adapter)

    def _write_adapter(self, place: Path) -> None:
        with disk_faults(place):
            self._session.folder.replace_adapter(self._save_adapter, place)
