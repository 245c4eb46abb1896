"""The ledger: append-only JSON lines, each on the disk before the next is written.

    {"kind": "start", "session": 1, "at": ..., "elapsed_s": 0.4, "pid": 7, "rate": 0.2, "rate_source": "--rate",
     "heartbeat_s": 5.0}
    {"kind": "beat",  "session": 1, "at": ..., "elapsed_s": 5.4, "seconds_by_phase": {"load": 5.1, ...}}
    {"kind": "end",   "session": 1, "at": ..., "elapsed_s": 61.0, "seconds_by_phase": {...}}

A session that ended is charged to its end; one that was killed, to its last line plus one heartbeat interval.
"""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tina_lite.errors import BadInput, NoRoom
from tina_lite.runs.files import sync_folder


@dataclass(frozen=True, slots=True)
class SessionBill:
    """What one earlier session came to."""

    session: int
    rate: float
    """US dollars per hour."""
    seconds_by_phase: Mapping[str, float]

    @property
    def seconds(self) -> float:
        return sum(self.seconds_by_phase.values())

    @property
    def usd(self) -> float:
        return self.seconds / 3600 * self.rate


class Ledger:
    """An open ledger, its torn last line cut off; one thread writes at a time."""

    def __init__(self, path: Path) -> None:
        _repair(path)
        self._path = path
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        sync_folder(path.parent)  # a new file is safe once its name is on the disk too

    def append(self, line: Mapping[str, Any]) -> None:
        """Returns once the line is on the disk; NoRoom where it cannot get there, with the ledger as it was."""
        data = (json.dumps(line) + "\n").encode()
        size = os.fstat(self._descriptor).st_size
        try:
            if os.write(self._descriptor, data) < len(data):
                raise OSError("the disk is full")
            os.fsync(self._descriptor)
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._descriptor, size)  # half a line would spoil the next one
            advice = "free some space and go on with --resume"
            raise NoRoom(f"{self._path}: cannot be written ({error}); {advice}") from error

    def close(self) -> None:
        os.close(self._descriptor)


def read_bills(path: Path) -> list[SessionBill]:
    """The bills of all sessions in a ledger; a torn last line is passed over."""
    if not path.exists():
        return []
    starts: dict[int, dict[str, Any]] = {}
    bills: dict[int, SessionBill] = {}
    for number, line in enumerate(_whole_lines(path), start=1):
        try:
            entry = json.loads(line)
            start = starts.setdefault(entry["session"], entry)
            bills[entry["session"]] = _bill(start, entry)
        except (ValueError, KeyError, TypeError):
            raise BadInput(f"{path}:{number}: not a line of a ledger; restore it, or start again with --out") from None
    return list(bills.values())


def _bill(start: Mapping[str, Any], last: Mapping[str, Any]) -> SessionBill:
    """Of a session, by its first and its last line."""
    phases = last.get("seconds_by_phase", {"load": last["elapsed_s"]})
    seconds = {name: float(value) for name, value in dict(phases).items()}
    if last["kind"] != "end":
        seconds["other"] = seconds.get("other", 0.0) + float(start["heartbeat_s"])
    return SessionBill(int(start["session"]), float(start["rate"]), seconds)


def _whole_lines(path: Path) -> list[str]:
    data = path.read_bytes()
    return data[: data.rfind(b"\n") + 1].decode("utf-8", errors="replace").splitlines()


def _repair(path: Path) -> None:
    """Cut a torn last line off; the lines before it are not touched."""
    if path.exists():
        with path.open("r+b") as file:
            data = file.read()
            file.truncate(data.rfind(b"\n") + 1)
            os.fsync(file.fileno())
