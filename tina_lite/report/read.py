"""A run folder as one frozen record. Any file may be missing, torn at its end, or from a run that was killed.

What cannot be read is left out; only a folder that holds no run at all is refused.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any, Literal

from tina_lite.budget import read_bills
from tina_lite.budget.ledger import mean_rate
from tina_lite.budget.rates import dollars
from tina_lite.runs.events import AlarmRaised, Evaluated, LogLine, RunStarted, alarms_after
from tina_lite.runs.look import begins, known_event, records
from tina_lite.util.errors import BadInput
from tina_lite.util.records import PHASES, with_nan

MOST_POINTS = 240
"""A curve of more would only make the page larger."""


@dataclass(frozen=True, slots=True)
class Spent:
    """Says what the bill was at one moment."""

    hours: float
    """Of all sessions up to here."""
    usd_by_phase: dict[str, float]

    @property
    def usd(self) -> float:
        return sum(self.usd_by_phase.values())


def spent_by_phase(path: Path) -> tuple[Spent, ...]:
    """Moments in order; the last of each session is its bill, rounding-up and an unwritten heartbeat included.

    Empty where there is no ledger or it cannot be read.
    """
    try:
        bills = {bill.session: bill for bill in read_bills(path)}
    except (BadInput, OSError):
        return ()
    lines: dict[int, list[dict[str, object]]] = {}
    for line in records(path):
        lines.setdefault(line.get("session", 0), []).append(line)
    moments: list[Spent] = []
    hours = 0.0
    before: dict[str, float] = dict.fromkeys(PHASES, 0.0)
    for session, bill in bills.items():
        for line in lines.get(session, ()):
            seconds, usd_an_hour = _so_far(lines[session][0], line)
            moments.append(
                Spent(
                    hours + sum(seconds.values()) / 3600,
                    {name: before[name] + seconds.get(name, 0.0) / 3600 * usd_an_hour for name in before},
                )
            )
        hours += bill.seconds / 3600
        of_session = {name: value / 3600 * bill.rate for name, value in bill.seconds_by_phase.items()}
        of_session["other"] = of_session.get("other", 0.0) + max(0.0, bill.usd - sum(of_session.values()))
        before = {name: before[name] + of_session.get(name, 0.0) for name in before}
        moments.append(Spent(hours, before))
    return _thinned(moments)


def _so_far(start: dict[str, object], line: dict[str, object]) -> tuple[dict[str, float], float]:
    """Seconds by phase of a session at one of its lines, and what an hour of it cost until then."""
    phases = line.get("seconds_by_phase")
    seconds = dict(phases) if isinstance(phases, dict) else {"load": float(str(line["elapsed_s"]))}
    if "joules" in line and "usd_per_kwh" in start:
        usd = dollars(float(str(line["joules"])), float(str(start["usd_per_kwh"])))
        return seconds, mean_rate(usd, sum(seconds.values()))
    return seconds, float(str(start["rate"]))


def _thinned(moments: list[Spent]) -> tuple[Spent, ...]:
    """Every n-th, and the last."""
    stride = max(1, len(moments) // MOST_POINTS)
    return (*moments[:-1:stride], *moments[-1:])


MOST_PAIRS = 3
EARLY_STEPS = 5
"""At the start, and as many at the end: where no problem came twice, early and late samples are from there."""
_HEAD = re.compile(rb'\{"step": (\d+), "problem": (-?\d+), ')


@dataclass(frozen=True, slots=True)
class Told:
    """Tells one step's group on a problem by its middling completion: of an even number, the lower of the two."""

    step: int
    question: str
    answer: str
    completion: str
    rewards: Mapping[str, float | None]
    total: float
    finish_reason: str
    group_totals: tuple[float, ...]
    """Of all completions of the group."""


@dataclass(frozen=True, slots=True)
class Pair:
    early: Told
    late: Told

    @property
    def same_problem(self) -> bool:
        return self.early.question == self.late.question


def pairs(path: Path) -> tuple[Pair, ...]:
    """At most `MOST_PAIRS`, of one problem where one was asked early and late; empty without two steps."""
    where = _index(path)
    chosen = _chosen(list(where))
    if not chosen:
        return ()
    with path.open("rb") as file:
        told = {key: _told(file, where[key]) for key in dict.fromkeys(key for pair in chosen for key in pair)}
    found = ((told[early], told[late]) for early, late in chosen)
    return tuple(Pair(early, late) for early, late in found if early is not None and late is not None)


def _index(path: Path) -> dict[tuple[int, int], list[int]]:
    """By step and problem, where in the file the group's lines begin; a later line of the same step wins."""
    where: dict[tuple[int, int], list[int]] = {}
    try:
        with path.open("rb") as file:
            offset = 0
            for line in file:
                key = _key(line)
                if key is not None:
                    where.setdefault(key, []).append(offset)
                offset += len(line)
    except OSError:
        return {}
    return where


def _key(line: bytes) -> tuple[int, int] | None:
    if not line.endswith(b"\n"):
        return None  # torn
    if match := _HEAD.match(line):
        return int(match[1]), int(match[2])
    try:
        row = json.loads(line)
        return int(row["step"]), int(row["problem"])
    except (ValueError, KeyError, TypeError):
        return None


def _chosen(groups: list[tuple[int, int]]) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Pairs of (step, problem): the same problem as far apart as can be, or else the first steps and the last."""
    if not groups:
        return []
    first, last = min(groups)[0], max(groups)[0]
    seen: dict[int, list[int]] = {}
    for step, problem in sorted(groups):
        seen.setdefault(problem, []).append(step)
    twice = [(steps[0], steps[-1], problem) for problem, steps in seen.items() if _apart(steps, first, last)]
    if twice:
        widest = sorted(twice, key=lambda found: found[0] - found[1])[:MOST_PAIRS]
        return [((early, problem), (late, problem)) for early, late, problem in widest]
    ordered = sorted(groups)
    count = min(MOST_PAIRS, EARLY_STEPS, len(ordered) // 2)
    return list(zip(ordered[:count], ordered[-count:], strict=True)) if count else []


def _apart(steps: list[int], first: int, last: int) -> bool:
    """Seen in the first third of the run and in the last."""
    third = (last - first) / 3
    return third > 0 and steps[0] <= first + third and steps[-1] >= last - third


def _told(file: Any, offsets: list[int]) -> Told | None:
    rows = []
    for offset in offsets:
        file.seek(offset)
        try:
            rows.append(json.loads(file.readline().decode("utf-8", "replace")))
        except ValueError:
            continue
    try:
        rows.sort(key=lambda row: float(row["total"]))
        row = rows[(len(rows) - 1) // 2]
        return Told(
            step=int(row["step"]),
            question=str(row["question"]),
            answer=str(row["answer"]),
            completion=str(row["completion"]),
            rewards=dict(row["rewards"]),
            total=float(row["total"]),
            finish_reason=str(row["finish_reason"]),
            group_totals=tuple(float(row["total"]) for row in rows),
        )
    except (IndexError, KeyError, TypeError, ValueError):
        return None


State = Literal["finished", "interrupted", "unfinished"]
SHOWN = begins("run_started", "eval", "notice", "alarm", "alarm_over", "run_finished")


@dataclass(frozen=True, slots=True)
class MeasuredEval:
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
    evals: tuple[MeasuredEval, ...]
    """By the run itself."""
    benchmarks: tuple[MeasuredEval, ...]
    """By `tina-lite eval` of this run, as far as they lie in its folder; `when` names the model."""
    notices: tuple[LogLine, ...]
    alarms: tuple[AlarmRaised, ...]
    """Those of the latest session that are not over."""
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
    events = [stamped for row in rows if (stamped := known_event(row)) is not None]
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
        evals=tuple(MeasuredEval(s.usd, s.event) for s in events if isinstance(s.event, Evaluated))
        or _evals_of(summary),
        benchmarks=_benchmarks(folder / "eval" / "results.json"),
        notices=tuple(dict.fromkeys(s.event for s in events if isinstance(s.event, LogLine))),
        alarms=reduce(alarms_after, (stamped.event for stamped in events), ()),
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


def _metrics(path: Path) -> tuple[Mapping[str, float], ...]:
    """By step; of a step that was done twice, as after a kill, the later one."""
    rows = {
        int(row["step"]): with_nan(row)
        for row in records(path)
        if isinstance(row.get("step"), int) and all(isinstance(v, int | float | None) for v in row.values())
    }
    return tuple(rows[step] for step in sorted(rows))


def _evals_of(summary: Mapping[str, Any]) -> tuple[MeasuredEval, ...]:
    """The summary's figures, where there are no events."""
    found = []
    for when, figures in (summary.get("eval") or {}).items():
        if figures:
            step, usd = (0, 0.0) if when == "before" else (int(summary.get("steps", 0)), float(summary.get("usd", 0.0)))
            fields = {name: figures[name] for name in ("benchmark", "pass_at_1", "problems", "samples", "mean_length")}
            found.append(MeasuredEval(usd, Evaluated(when=when, step=step, ci95=tuple(figures["ci95"]), **fields)))
    return tuple(found)


def _benchmarks(path: Path) -> tuple[MeasuredEval, ...]:
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
            found.append(MeasuredEval(float(row["usd"]), result))
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
