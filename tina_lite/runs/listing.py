"""The runs in a folder, each in a record: what became of it, how far it got, what it cost, what it reached."""

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tina_lite.budget import read_bills
from tina_lite.runs.look import begins, owner_of, records
from tina_lite.util.errors import BadInput

RunStatus = Literal["running", "finished", "stopped", "failed", "killed"]
INTERRUPTED = "interrupted"
FAULTS = {"bad_input", "no_room", "error"}


@dataclass(frozen=True, slots=True)
class Best:
    """The best that a run reached, by its evaluations, or by its reward where it has none."""

    measure: Literal["pass_at_1", "reward"]
    value: float
    step: int
    benchmark: str | None
    """Of a Pass@1."""


@dataclass(frozen=True, slots=True)
class ListedRun:
    """One run folder."""

    folder: str
    name: str
    status: RunStatus
    stop_reason: str | None
    """Of a run that came to an end of its own."""
    pid: int | None
    """Of a run that goes on."""
    steps: int
    max_steps: int | None
    usd: float | None
    """None where the ledger cannot be read."""
    best: Best | None
    last_at: float
    """Unix time at which it was last written to."""


def runs_in(parent: Path) -> list[ListedRun]:
    """Every run folder right below this one, and it itself where it is one; the newest first.

    An evaluation, which is on a bill too, is no run: it has neither of a run's first files.
    """
    firsts = ("recipe.yaml", "events.jsonl")
    billed = {ledger.parent for pattern in ("ledger.jsonl", "*/ledger.jsonl") for ledger in parent.glob(pattern)}
    folders = [folder for folder in billed if any((folder / name).exists() for name in firsts)]
    return sorted(map(listed, folders), key=lambda run: (-run.last_at, run.folder))


def listed(folder: Path) -> ListedRun:
    """Read one run folder; what is missing or damaged in it is left out."""
    events = list(records(folder / "events.jsonl", begins("run_started", "run_finished", "eval")))
    started = [record for record in events if record["event"] == "run_started"]
    metrics = list(records(folder / "metrics.jsonl"))
    pid, summary = owner_of(folder), _summary(events)
    reason = str(summary.get("stop_reason") or "") or None
    return ListedRun(
        folder=str(folder),
        name=str(started[-1].get("name", folder.name)) if started else folder.name,
        status="running" if pid is not None else _status(folder, summary, reason),
        stop_reason=reason if pid is None else None,
        pid=pid,
        steps=_whole(metrics[-1].get("step")) if metrics else 0,
        max_steps=started[-1].get("max_steps") if started else None,
        usd=_usd(folder / "ledger.jsonl"),
        best=_best(events, metrics),
        last_at=_last_at(folder),
    )


def _summary(events: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Of the latest session; empty where it has none."""
    summary: dict[str, Any] = {}
    for record in events:
        if record["event"] == "run_started":
            summary = {}
        elif record["event"] == "run_finished" and isinstance(record.get("summary"), dict):
            summary = record["summary"]
    return summary


def _status(folder: Path, summary: dict[str, Any], reason: str | None) -> RunStatus:
    """Of a run that nobody runs. A process that was killed has not closed its ledger itself."""
    if not summary:
        *_, last = ({}, *records(folder / "ledger.jsonl"))
        return "failed" if last.get("kind") == "end" and last.get("watchdog") != "died" else "killed"
    return ended_as(reason)


def ended_as(reason: str | None) -> RunStatus:
    """What a run came to that wrote a summary."""
    if reason == INTERRUPTED:
        return "stopped"
    return "failed" if reason in FAULTS else "finished"


def _usd(ledger: Path) -> float | None:
    try:
        return sum(bill.usd for bill in read_bills(ledger))
    except (BadInput, OSError):
        return None


def _best(events: Iterable[dict[str, Any]], metrics: Iterable[dict[str, Any]]) -> Best | None:
    found = [
        Best("pass_at_1", float(record["pass_at_1"]), _whole(record.get("step")), str(record.get("benchmark")))
        for record in events
        if record["event"] == "eval" and _finite(record.get("pass_at_1"))
    ]
    found = found or [
        Best("reward", float(row["reward"]), _whole(row.get("step")), None)
        for row in metrics
        if _finite(row.get("reward"))
    ]
    return max(found, key=lambda best: best.value, default=None)


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


def _last_at(folder: Path) -> float:
    times = [path.stat().st_mtime for path in folder.glob("*.jsonl") if path.is_file()]
    return max(times, default=time.time())
