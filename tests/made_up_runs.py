"""Run folders made up line by line: what a report must cope with."""

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

EVIL = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>\x1b[2J\u202e\x00</pre></script>"
"""Where a run's folder holds text of a model or a data set."""


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def started(resumed_from_step: int = 0, name: str = "mine") -> dict[str, Any]:
    limits = {"max_usd": 0.05, "max_hours": None, "max_steps": 40, "resumed_from_step": resumed_from_step}
    made = {"version": "0.1.0", "model": "builtin:tiny", "engine": "native", "device": "cpu (2 threads)", "seed": 7}
    stamp = {"event": "run_started", "at": 100.0, "elapsed_s": 1.0, "usd": 0.0001}
    return {**stamp, "name": name, "folder": "runs/mine", **made, "rate": 0.36, "rate_source": "--rate", **limits}


def evaluated(when: str, step: int, share: float, usd: float, benchmark: str = "held_out") -> dict[str, Any]:
    figures = {"pass_at_1": share, "ci95": [share - 0.04, share + 0.04], "problems": 200, "samples": 4}
    stamp = {"event": "eval", "at": 101.0, "elapsed_s": 2.0, "usd": usd}
    return {**stamp, "when": when, "step": step, "benchmark": benchmark, **figures, "mean_length": 20.0}


def metrics(step: int, **changes: float | None) -> dict[str, Any]:
    share = 1 / (1 + math.exp((20 - step) / 4))
    wobble = 0.1 * math.sin(7 * step)
    return {
        "step": step,
        "reward": 3 * share + wobble,
        "rewards/accuracy/mean": share,
        "rewards/format/mean": min(1.0, 2 * share),
        "completions/mean_length": 30 - 10 * share + wobble,
        "completions/clipped_ratio": 0.2 * (1 - share),
        "usd": 0.001 + 0.0004 * step,
        **changes,
    }


def sample(step: int, problem: int, total: float, completion: str = "2+2=4", question: str = "2+2?") -> dict[str, Any]:
    told = {"question": question, "answer": "4", "completion": completion, "rewards": {"accuracy": total}}
    return {"step": step, "problem": problem, **told, "total": total, "advantage": 0.0, "finish_reason": "stop"}


def ledger(seconds: Mapping[str, float], session: int = 1, killed: bool = False, at: int = 1) -> list[dict[str, Any]]:
    """A session whose seconds by phase grow evenly over three lines."""
    start = {"kind": "start", "session": session, "at": at, "elapsed_s": 0.0, "pid": 7, "rate": 0.36}
    lines = [{**start, "rate_source": "--rate", "unit_s": 0.0, "heartbeat_s": 5.0}]
    for part in (0.5, 1.0):
        phases = {name: part * value for name, value in seconds.items()}
        kind = "end" if part == 1.0 and not killed else "beat"
        shared = {"session": session, "at": at + part, "elapsed_s": sum(phases.values())}
        lines.append({"kind": kind, **shared, "seconds_by_phase": phases})
    return lines


SUMMARY: Mapping[str, Any] = {
    "name": "mine",
    "stop_reason": "max_steps",
    "steps": 40,
    "usd": 0.0200,
    "gpu_hours": 200 / 3600,
    "rate": 0.36,
    "rate_source": "--rate",
    "usd_by_phase": {"load": 0.002, "rollout": 0.01, "update": 0.008},
    "tokens": {"prompt": 1000, "completion": 20000, "trained": 15000},
    "eval": {"before": None, "after": None},
    "version": "0.1.0",
    "packages": {"python": "3.11.7", "torch": "2.13.0"},
    "per_dollar": {"points": 2000.0, "reward": 140.0, "tokens": 1_000_000.0},
    "turning_point": {"step": 22},
    "seed": 7,
}
