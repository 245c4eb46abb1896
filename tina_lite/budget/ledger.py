"""The ledger: append-only JSON lines, each on the disk before the next is written.

    {"kind": "start", "session": 1, "at": ..., "elapsed_s": 0.4, "pid": 7, "rate": 0.2, "rate_source": "--rate",
     "unit_s": 0.0, "heartbeat_s": 5.0}
    {"kind": "beat",  "session": 1, "at": ..., "elapsed_s": 5.4, "seconds_by_phase": {"load": 5.1, ...}}
    {"kind": "end",   "session": 1, "at": ..., "elapsed_s": 61.0, "seconds_by_phase": {...}}

A session that ended is charged to its end. The end of one that was killed is written by its watchdog, which says why
under "watchdog"; where that was killed too, it is charged to its last line plus one heartbeat interval. Where
electricity is measured every line has the joules so far, the start has usd_per_kwh, and its rate is the most.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tina_lite.budget.money import billed_s
from tina_lite.budget.rates import dollars
from tina_lite.util.disk import APPEND, append_line, sync_folder
from tina_lite.util.errors import BadInput


@dataclass(frozen=True, slots=True)
class SessionBill:
    """What one earlier session came to."""

    session: int
    rate: float
    """US dollars per hour; the mean, where electricity is measured."""
    seconds_by_phase: Mapping[str, float]
    """As used."""
    unit_s: float = 0.0
    """What is billed is rounded up to whole units; 0: what was used."""
    began_at: float = 0.0
    """Unix time."""

    @property
    def seconds(self) -> float:
        return sum(self.seconds_by_phase.values())

    @property
    def usd(self) -> float:
        """What this session was billed."""
        return billed_s(self.seconds, self.unit_s) / 3600 * self.rate


class Ledger:
    """An open ledger, its torn last line cut off; one thread writes at a time."""

    def __init__(self, path: Path) -> None:
        _repair(path)
        self.path = path.absolute()
        self._descriptor = os.open(path, APPEND, 0o666)
        sync_folder(path.parent)  # a new file is safe once its name is on the disk too

    def append(self, line: Mapping[str, Any]) -> None:
        """Returns once the line is on the disk; NoRoom where it cannot get there, with the ledger as it was."""
        append_line(self.path, self._descriptor, (json.dumps(line) + "\n").encode(), durable=True)

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
    rate, unwritten_s = float(start["rate"]), 0.0 if last["kind"] == "end" else float(start["heartbeat_s"])
    seconds["other"] = seconds.get("other", 0.0) + unwritten_s
    if "joules" in last:  # what nobody measured is charged at the most that the card draws
        usd = dollars(float(last["joules"]), float(start["usd_per_kwh"])) + unwritten_s / 3600 * rate
        rate = mean_rate(usd, sum(seconds.values()))
    began_at = float(start.get("at", 0.0)) - float(start.get("elapsed_s", 0.0))
    return SessionBill(int(start["session"]), rate, seconds, float(start.get("unit_s", 0.0)), began_at)


def mean_rate(usd: float, seconds: float) -> float:
    """US dollars per hour of what was paid for a time; 0 for no time."""
    return usd / seconds * 3600 if seconds else 0.0


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
