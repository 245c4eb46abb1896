"""What a sweep cannot read from its trials' folders: where each was started, and which it found too weak."""

import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tina_lite.runs.look import records
from tina_lite.util.disk import JsonLines

JOURNAL = "journal.jsonl"
"""In a sweep's folder, from the first start of a trial on."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a trial was started, and when."""

    trial: int
    machine: str
    at: float
    """Unix time."""


class Journal:
    """Keeps lines such as {"kind": "start", "trial": 3, "machine": "10.0.0.4", "at": ...}."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / JOURNAL
        self._rows = list(records(self._path))

    def started(self, trial: int, machine: str) -> None:
        """Write down where a trial is about to be started; it is on the disk when this returns."""
        self._write({"kind": "start", "trial": trial, "machine": machine, "at": time.time()})

    def found_weak(self, trial: int, why: str) -> None:
        """Write down that a trial is ended, and why."""
        self._write({"kind": "weak", "trial": trial, "why": why, "at": time.time()})

    def places(self) -> list[Place]:
        """Every start of a trial, in order."""
        return [Place(int(row["trial"]), str(row["machine"]), float(row["at"])) for row in self._of("start")]

    def weak(self) -> dict[int, str]:
        """Trials that are not gone on with, and why."""
        return {int(row["trial"]): str(row["why"]) for row in self._of("weak")}

    def _of(self, kind: str) -> list[dict[str, Any]]:
        return [row for row in self._rows if row.get("kind") == kind]

    def _write(self, row: dict[str, Any]) -> None:
        with closing(JsonLines(self._path)) as file:
            file.append(row)
            file.sync()
        self._rows.append(row)
