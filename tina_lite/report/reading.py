"""A run folder as one frozen record. Any file may be missing, torn at its end, or from a run that was killed.

What cannot be read is left out; only a folder that holds no run at all is refused.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tina_lite.errors import BadInput
from tina_lite.report.money import Spent, spent_by_phase
from tina_lite.report.samples import Pair, pairs
from tina_lite.runs.events import Evaluated, Notice, RunStarted, Stamped, from_json
from tina_lite.runs.look import begins, records

State = Literal["finished", "interrupted", "unfinished"]
SHOWN = begins("run_started", "eval", "notice", "run_finished")


@dataclass(frozen=True, slots=True)
class Measured:
    """A benchmark's result, and what the run had cost by then."""

    usd: float
    result: Evaluated


@dataclass(frozen=True, slots=True)
class Run:
    """All that a report says of a run."""

    folder: Path
    name: str
    started: RunStarted | None
    """Of the latest session."""
    sessions: int
    state: State
    """unfinished: it is running still, or was killed."""
    metrics: tuple[Mapping[str, float], ...]
    """Of the steps in order, as in metrics.jsonl with "step"; what was null is NaN."""
    evals: tuple[Measured, ...]
    """By the run itself."""
    benchmarks: tuple[Measured, ...]
    """By `tina-lite eval` of this run, as far as they lie in its folder; `when` names the model."""
    notices: tuple[Notice, ...]
    summary: Mapping[str, Any]
    """Empty where the run has not come to its end."""
    spent: tuple[Spent, ...]
    """The bill over time; empty without a ledger."""
    pairs: tuple[Pair, ...]
    """Groups of completions, early and late."""
    recipe_yaml: str

    @property
    def steps(self) -> int:
        return int(self.metrics[-1]["step"]) if self.metrics else int(self.summary.get("steps", 0))

    @property
    def usd(self) -> float:
        """The bill: the ledger's where there is one, as it alone knows of a killed session."""
        known = [self.summary.get("usd"), self.spent[-1].usd if self.spent else None]
        known.append(self.metrics[-1].get("usd") if self.metrics else None)
        return max((float(usd) for usd in known if usd is not None and math.isfinite(usd)), default=0.0)

    @property
    def hours(self) -> float:
        return self.spent[-1].hours if self.spent else float(self.summary.get("gpu_hours", 0.0))

    @property
    def usd_by_phase(self) -> Mapping[str, float]:
        return self.spent[-1].usd_by_phase if self.spent else self.summary.get("usd_by_phase", {})

    @property
    def turning_point(self) -> int | None:
        """The step at which format and length turned, where the run found one."""
        found = self.summary.get("turning_point")
        step = found.get("step") if isinstance(found, Mapping) else found
        return int(step) if isinstance(step, int | float) and not isinstance(step, bool) else None

    def series(self, metric: str) -> list[tuple[int, float]]:
        """Step and value, where the value is known and finite."""
        found = ((int(row["step"]), row.get(metric, math.nan)) for row in self.metrics)
        return [(step, value) for step, value in found if math.isfinite(value)]

    def reward_names(self) -> list[str]:
        names = dict.fromkeys(name for row in self.metrics[:1] + self.metrics[-1:] for name in row)
        return [name.split("/")[1] for name in names if name.startswith("rewards/") and name.endswith("/mean")]


def read_run(folder: Path, summary: Mapping[str, Any] | None = None) -> Run:
    """BadInput where the folder holds neither metrics, nor events, nor a summary; a run at its end gives its own."""
    files = ("events.jsonl", "metrics.jsonl", "summary.json")
    if not any((folder / name).is_file() for name in files):
        raise BadInput(f"{folder}: holds no run (none of {', '.join(files)}); give a run folder, such as runs/NAME")
    rows = list(records(folder / "events.jsonl", SHOWN))
    events = [stamped for row in rows if (stamped := _event(row)) is not None]
    starts = [stamped.event for stamped in events if isinstance(stamped.event, RunStarted)]
    spent = spent_by_phase(folder / "ledger.jsonl")
    if summary is None:
        summary = {} if _goes_on(rows) else _object(folder / "summary.json")
    else:  # it is alive: the ledger's last beat is not all that there will be
        spent = (*spent[:-1], Spent(float(summary["gpu_hours"]), dict(summary["usd_by_phase"])))
    return Run(
        folder=folder,
        name=str(summary.get("name") or (starts[-1].name if starts else folder.resolve().name)),
        started=starts[-1] if starts else None,
        sessions=max(1, len(starts)),
        state=_state(summary),
        metrics=_metrics(folder / "metrics.jsonl"),
        evals=tuple(Measured(s.usd, s.event) for s in events if isinstance(s.event, Evaluated)) or _evals_of(summary),
        benchmarks=_benchmarks(folder / "eval" / "results.json"),
        notices=tuple(dict.fromkeys(s.event for s in events if isinstance(s.event, Notice))),
        summary=summary,
        spent=spent,
        pairs=pairs(folder / "samples.jsonl"),
        recipe_yaml=_text(folder / "recipe.yaml"),
    )


def _goes_on(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a run that had finished was taken up again: its summary is an earlier session's."""
    kinds = [row["event"] for row in rows if row["event"] in ("run_started", "run_finished")]
    return "run_finished" in kinds and kinds[-1] == "run_started"


def _state(summary: Mapping[str, Any]) -> State:
    if not summary:
        return "unfinished"
    return "interrupted" if summary.get("stop_reason") in ("interrupted", "error") else "finished"


def _event(row: Mapping[str, Any]) -> Stamped | None:
    """None for the event of a later version."""
    try:
        return from_json(row)
    except BadInput:
        return None


def _metrics(path: Path) -> tuple[Mapping[str, float], ...]:
    """By step; of a step that was done twice, as after a kill, the later one."""
    rows = {
        int(row["step"]): {name: math.nan if value is None else value for name, value in row.items()}
        for row in records(path)
        if isinstance(row.get("step"), int) and all(isinstance(v, int | float | None) for v in row.values())
    }
    return tuple(rows[step] for step in sorted(rows))


def _evals_of(summary: Mapping[str, Any]) -> tuple[Measured, ...]:
    """The summary's figures, where there are no events."""
    found = []
    for when, figures in (summary.get("eval") or {}).items():
        if figures:
            step, usd = (0, 0.0) if when == "before" else (int(summary.get("steps", 0)), float(summary.get("usd", 0.0)))
            fields = {name: figures[name] for name in ("benchmark", "pass_at_1", "problems", "samples", "mean_length")}
            found.append(Measured(usd, Evaluated(when=when, step=step, ci95=tuple(figures["ci95"]), **fields)))
    return tuple(found)


def _benchmarks(path: Path) -> tuple[Measured, ...]:
    """What tina-lite eval left there; a result of another shape is passed over."""
    found = []
    for row in _object(path).get("results") or ():
        try:
            pass_at_1 = row["pass_at_1"]
            low, high = map(float, pass_at_1["ci95"])
            result = Evaluated(
                when=str(row["model"]),
                step=0,
                benchmark=str(row["benchmark"]),
                pass_at_1=float(pass_at_1["value"]),
                ci95=(low, high),
                problems=int(row["problems"]),
                samples=int(row["samples"]),
                mean_length=float(row["mean_length"]),
            )
            found.append(Measured(float(row["usd"]), result))
        except (KeyError, TypeError, ValueError):
            continue
    return tuple(found)


def _object(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8", errors="replace"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
