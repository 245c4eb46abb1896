"""What the trials of a sweep came to: a row for each, settings over their seeds, and which differ beyond noise."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from tina_lite.budget.money import format_usd
from tina_lite.console.text import format_number, format_share
from tina_lite.eval.tables import SIGNIFICANT
from tina_lite.runs.look import records
from tina_lite.sweep.driver import Course, Driver

Row = dict[str, Any]
Cells = tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]
"""A heading and rows."""
ENDS = 5
"""Steps at either end of a run over which its reward is averaged where it has no evaluation."""


def row_of(course: Course) -> Row:
    """One trial, for programs: `first` and `last` are where it began and what it reached, in its `measure`."""
    trial = course.trial
    row: Row = {"trial": trial.number, "setting": trial.label, "changes": dict(trial.changes), "seed": trial.seed}
    row |= {"state": course.state, "why": course.why or None, "folder": str(course.folder)}
    return row | {"usd": course.usd} | reached(course.folder)


def reached(folder: Path) -> Row:
    """What a run came to: Pass@1 of its first benchmark, else its reward over a few steps at either end."""
    figures = list(records(folder / "figures.jsonl"))
    shares = [float(row["pass_at_1"]) for row in figures if row["benchmark"] == figures[0]["benchmark"]]
    metrics = list(records(folder / "metrics.jsonl"))
    rewards = [float(row["reward"]) for row in metrics]
    ends = [fmean(part) for part in (rewards[:ENDS], rewards[-ENDS:]) if part]
    measure, values = ("pass_at_1", shares) if shares else ("reward", ends)
    return {
        "steps": int(metrics[-1]["step"]) if metrics else 0,
        "measure": measure,
        "first": values[0] if values else None,
        "last": values[-1] if values else None,
        "pass_at_1": shares[-1] if shares else None,
        "reward": ends[-1] if ends else None,
    }


def settings_of(rows: Sequence[Row]) -> list[Row]:
    """Each setting over the seeds that are done, the best first: mean, spread, dollars, and gain a dollar."""
    found = []
    for label in dict.fromkeys(row["setting"] for row in rows):
        mine = [row for row in rows if row["setting"] == label]
        done = [row for row in mine if row["state"] == "done" and row["last"] is not None]
        last = [row["last"] for row in done]
        gains = [(row["last"] - row["first"]) / row["usd"] for row in done if row["usd"]]
        found.append(
            {
                "setting": label,
                "trials": len(mine),
                "done": len(done),
                "mean": fmean(last) if last else None,
                "spread": stdev(last) if len(last) > 1 else None,
                "usd": sum(row["usd"] for row in mine),
                "gain_per_usd": fmean(gains) if gains else None,
            }
        )
    return sorted(found, key=lambda one: (one["mean"] is None, -(one["mean"] or 0.0)))


def differences_of(rows: Sequence[Row], settings: Sequence[Row]) -> list[Row]:
    """How far each setting is from the best, by Tukey's HSD test, whose unit is the seed: all pairs err together by 5%.

    Settings of which fewer than two seeds are done are left out; empty where that leaves fewer than two.
    """
    from scipy.stats import tukey_hsd

    known = [one["setting"] for one in settings if one["done"] > 1]
    if len(known) < 2:
        return []
    samples = [[row["last"] for row in rows if row["setting"] == name and row["state"] == "done"] for name in known]
    if all(len(set(values)) == 1 for values in samples):  # no spread at all: the test divides by it
        return []
    test = tukey_hsd(*samples)
    intervals = test.confidence_interval()
    return [
        {
            "best": known[0],
            "other": other,
            "difference": fmean(samples[0]) - fmean(samples[place]),
            "ci95": [float(intervals.low[0, place]), float(intervals.high[0, place])],
            "p": float(test.pvalue[0, place]),
        }
        for place, other in enumerate(known[1:], start=1)
    ]


def record_of(driver: Driver) -> Row:
    """The whole sweep: sweep.json."""
    rows = [row_of(course) for course in driver.courses]
    settings = settings_of(rows)
    return {
        "usd": driver.bill(),
        "max_usd": driver.max_usd,
        "stopped_by": driver.stopping or None,
        "settings": settings,
        "differences": differences_of(rows, settings),
        "trials": rows,
    }


def words_of(difference: Row, measure: str) -> str:
    """Say whether a setting is behind the best, or may as well not be.

    >>> far = {"best": "r=8", "other": "r=4", "difference": 0.031, "ci95": [0.004, 0.058], "p": 0.03}
    >>> words_of(far, "pass_at_1")
    'r=8 is better than r=4 by 3.1 points [0.4, 5.8], p = 0.03'
    >>> words_of(far | {"p": 0.2, "ci95": [-0.01, 0.07]}, "reward")
    'r=8 and r=4 cannot be told apart: +0.031 [-0.010, 0.070], p = 0.2'
    """
    best, other, p = difference["best"], difference["other"], f"p = {difference['p']:.2g}"
    values = difference["difference"], *difference["ci95"]
    if measure == "pass_at_1":
        by, low, high = (f"{100 * value:.1f}" for value in values)
        by += " points"
    else:
        by, low, high = (f"{value:.3f}" for value in values)
    if difference["p"] < SIGNIFICANT:
        return f"{best} is better than {other} by {by} [{low}, {high}], {p}"
    return f"{best} and {other} cannot be told apart: +{by} [{low}, {high}], {p}"


def figure_of(value: float | None, measure: str) -> str:
    """A measure as people read it."""
    return "-" if value is None else format_share(value) if measure == "pass_at_1" else f"{value:.3g}"


def measure_of(record: Mapping[str, Any]) -> str:
    """pass_at_1, or reward where some trial was never evaluated."""
    measures = {row["measure"] for row in record["trials"] if row["last"] is not None}
    return "pass_at_1" if measures == {"pass_at_1"} else "reward"


def trial_rows(record: Mapping[str, Any]) -> Cells:
    """A heading and a row for each trial."""
    heads = ("trial", "setting", "seed", "state", "steps", "dollars", "first", "last")
    rows = []
    for row in record["trials"]:
        ends = [figure_of(row[end], row["measure"]) for end in ("first", "last")]
        usd = format_usd(row["usd"])
        rows.append((str(row["trial"]), row["setting"], str(row["seed"]), row["state"], str(row["steps"]), usd, *ends))
    return heads, tuple(rows)


def setting_rows(record: Mapping[str, Any]) -> Cells:
    """A heading and a row for each setting, the best first."""
    measure = measure_of(record)
    unit, scale = ("points", 100) if measure == "pass_at_1" else ("reward", 1)
    heads, rows = ("setting", "seeds", "mean", "spread", "dollars", f"{unit} a dollar"), []
    for one in record["settings"]:
        seeds, usd = f"{one['done']} of {one['trials']}", format_usd(one["usd"])
        figures = [figure_of(one[name], measure) for name in ("mean", "spread")]
        gain = "-" if one["gain_per_usd"] is None else format_number(scale * one["gain_per_usd"])
        rows.append((one["setting"], seeds, *figures, usd, gain))
    return heads, tuple(rows)


def money_of(record: Mapping[str, Any]) -> str:
    """The bill in words."""
    return f"{format_usd(record['usd'])} of {format_usd(record['max_usd'])}, all machines and the driver included"


def told(record: Mapping[str, Any]) -> list[str]:
    """In sentences: what differs beyond noise, which trials did not come to their end, and why."""
    differences = [words_of(one, measure_of(record)) for one in record["differences"]]
    return differences + [
        f"trial {row['trial']}, {row['state']}: {row['why']}" for row in record["trials"] if row["why"]
    ]


def lines_of(record: Mapping[str, Any]) -> list[str]:
    """The same for people."""
    return [*aligned(trial_rows(record)), "", *aligned(setting_rows(record)), "", *told(record), money_of(record)]


def aligned(cells: Cells) -> list[str]:
    """Columns under each other."""
    rows = [cells[0], *cells[1]]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
