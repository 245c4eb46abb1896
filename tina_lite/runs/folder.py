"""The run folder: one owner, its files, and the listener that writes the event stream into them.

recipe.yaml  events.jsonl  metrics.jsonl  samples.jsonl  ledger.jsonl  checkpoints/  adapter/  summary.json
"""

import fcntl
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tina_lite.errors import BadInput, NoRoom
from tina_lite.runs.events import CheckpointSaved, Progress, Stamped, StepDone
from tina_lite.runs.files import JsonLines, cut_back, write_atomically

LOGS = ("events.jsonl", "metrics.jsonl", "samples.jsonl")


def free_folder(parent: Path, name: str) -> Path:
    """`parent/name`, or the first of name-2, name-3, ... that does not exist."""
    candidates = (parent / (name if number == 1 else f"{name}-{number}") for number in range(1, 1_000_000))
    return next(path for path in candidates if not path.exists())


def newest_folder(parent: Path, name: str) -> Path:
    """The run that `free_folder` named so and that was written to last; BadInput where there is none."""
    numbered = re.compile(re.escape(name) + r"(-\d+)?")
    ledgers = [ledger for ledger in parent.glob("*/ledger.jsonl") if numbered.fullmatch(ledger.parent.name)]
    if not ledgers:
        raise BadInput(f"--resume: no run named {name} in {parent}/; name its folder with --out")
    return max(ledgers, key=lambda ledger: ledger.stat().st_mtime).parent


def refuse_taken(path: Path) -> None:
    """BadInput where a fresh run cannot start in this folder."""
    if (path / "recipe.yaml").exists() or (path / "ledger.jsonl").exists():
        raise BadInput(f"{path}: holds another run; go on with it by --resume, or choose another folder with --out")
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise BadInput(f"{path}: is in use and is no run folder; choose an empty or new one with --out")


class RunFolder:
    """An open run folder, locked against a second process. `listener` keeps its logs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = _lock(path)
        self._logs: dict[str, JsonLines] = {}

    @classmethod
    def create(cls, path: Path, recipe_yaml: str) -> "RunFolder":
        refuse_taken(path)
        try:
            (path / "checkpoints").mkdir(parents=True)
            folder = cls(path)
            write_atomically(path / "recipe.yaml", recipe_yaml)
        except OSError as error:
            raise NoRoom(f"{path}: cannot be written ({error.strerror}); choose another folder with --out") from error
        folder._open_logs()
        return folder

    @classmethod
    def reopen(cls, path: Path, last_step: int) -> "RunFolder":
        """Go on with a run; what was logged after its checkpoint at `last_step` is cut back."""
        folder = cls(path)
        for name in LOGS:
            cut_back(path / name, last_step)
        folder._open_logs()
        return folder

    @property
    def ledger(self) -> Path:
        return self.path / "ledger.jsonl"

    @property
    def adapter(self) -> Path:
        return self.path / "adapter"

    def listener(self, stamped: Stamped) -> None:
        """Events to events.jsonl; a step's metrics and sample to files of their own."""
        if isinstance(stamped.event, Progress):
            return
        self._logs["events.jsonl"].append(stamped.to_json())
        if isinstance(stamped.event, StepDone):
            self._logs["metrics.jsonl"].append({"step": stamped.event.step, **stamped.event.metrics})
        if isinstance(stamped.event, CheckpointSaved):
            for log in self._logs.values():
                log.sync()

    def keep_samples(self, rows: Sequence[Mapping[str, Any]]) -> None:
        for row in rows:
            self._logs["samples.jsonl"].append(row)

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        write_atomically(self.path / "summary.json", json.dumps(summary, indent=2) + "\n")

    def close(self) -> None:
        for log in self._logs.values():
            log.close()
        os.close(self._lock)

    def _open_logs(self) -> None:
        self._logs = {name: JsonLines(self.path / name) for name in LOGS}


def _lock(path: Path) -> int:
    """An exclusive lock for the life of this process; BadInput that names the owner where it is taken."""
    descriptor = os.open(path / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        owner = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
        os.close(descriptor)
        raise BadInput(f"{path}: is being written by process {owner}; wait for it or stop it first") from None
    os.ftruncate(descriptor, 0)
    os.write(descriptor, str(os.getpid()).encode())
    return descriptor
