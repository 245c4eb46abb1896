"""The ledger: append-only JSON lines, each on the disk before the next is written.

    {"kind": "start", "session": 1, "pid": 7, "at": ..., "elapsed_s": 0.4, "rate": 0.2, "rate_source": "--rate"}
    {"kind": "beat",  "session": 1, "at": ..., "elapsed_s": 5.4, "seconds_by_phase": {"load": 5.1, ...}}
    {"kind": "end",   "session": 1, "at": ..., "elapsed_s": 61.0, "seconds_by_phase": {...}}

A session that ended is charged to its end; one that was killed, to its last line plus one heartbeat interval.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tina_lite.errors import BadInput


@dataclass(frozen=True, slots=True)
class SessionBill:
    """What one earlier session came to."""

    session: int
    seconds: float
    rate: float
    seconds_by_phase: Mapping[str, float]
    """Adds up to `seconds`."""

    @property
    def usd(self) -> float:
        return self.seconds / 3600 * self.rate


class Ledger:
    """An open ledger; `append` returns once the line is on the disk."""

    def __init__(self, path: Path) -> None:
        _repair(path)
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def append(self, line: Mapping[str, Any]) -> None:
        os.write(self._descriptor, (json.dumps(line) + "\n").encode())
        os.fsync(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)


def read_bills(path: Path) -> list[SessionBill]:
    """The bills of all sessions in a ledger; a torn last line is passed over."""
    if not path.exists():
        return []
    bills: dict[int, list[dict[str, Any]]] = {}
    for number, line in enumerate(_whole_lines(path), start=1):
        try:
            entry = json.loads(line)
            bills.setdefault(int(entry["session"]), []).append(entry)
        except (ValueError, KeyError, TypeError):
            raise BadInput(f"{path}:{number}: not a line of a ledger; restore it, or start again with --out") from None
    return [_bill(entries) for entries in bills.values()]


def _bill(entries: list[dict[str, Any]]) -> SessionBill:
    start, last = entries[0], entries[-1]
    unseen = 0.0 if last["kind"] == "end" else float(start["heartbeat_s"])
    phases = dict(last.get("seconds_by_phase") or {"load": last["elapsed_s"]})
    if unseen:
        phases["other"] = phases.get("other", 0.0) + unseen
    return SessionBill(int(start["session"]), float(last["elapsed_s"]) + unseen, float(start["rate"]), phases)


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
