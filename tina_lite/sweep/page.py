"""The report of a sweep: curves by setting with their spread over seeds, the settings, what differs beyond noise."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from tina_lite.budget.money import format_usd
from tina_lite.report.curves import DASHES, SERIES, Trace, axes, colour, plain
from tina_lite.report.figures import Figure, Table
from tina_lite.report.page import render
from tina_lite.runs.look import begins, records
from tina_lite.sweep.table import figure_of, measure_of, money_of, setting_rows, told, trial_rows

POINTS = 60
"""At which the curves of a setting's seeds are averaged, evenly over the dollars that all of them have spent."""
MOST_CURVES = 14
"""The best of more settings are drawn; all are in the table."""
Points = list[tuple[float, float]]


def sweep_page(record: Mapping[str, Any]) -> str:
    """The whole file, from a sweep's sweep.json."""
    best, measure = record["settings"][0], measure_of(record)
    drawn = curves(record)
    return render(
        "sweep.html.j2",
        [drawn] if drawn else [],
        title=f"{len(record['trials'])} trials of {len(record['settings'])} settings",
        outcome=f"The best setting is {best['setting']}: {figure_of(best['mean'], measure)} over {best['done']} seeds.",
        money=money_of(record),
        settings=Table(*setting_rows(record)),
        trials=Table(*trial_rows(record)),
        told=told(record)
        or ["Fewer than two settings have two seeds or more that are done: nothing is said of noise."],
    )


def curves(record: Mapping[str, Any]) -> Figure | None:
    """Pass@1, or reward where nothing was evaluated, against a trial's dollars: mean and spread over seeds."""
    measure = measure_of(record)
    traces: list[Trace] = []
    rows: list[tuple[str, ...]] = []
    for place, setting in enumerate(record["settings"][:MOST_CURVES]):
        name = setting["setting"]
        seeds = [curve_of(Path(row["folder"]), measure) for row in record["trials"] if row["setting"] == name]
        seeds = [points for points in seeds if len(points) > 1]
        if seeds:
            usd, mean, spread = averaged(seeds)
            traces += band(usd, mean, spread, name, place, percent=measure == "pass_at_1")
            rows.append((name, str(len(seeds)), format_usd(usd[-1]), f"{mean[-1]:.3f}", f"{spread[-1]:.3f}"))
    if not traces:
        return None
    layout = axes("US dollars of a trial", "Pass@1, percent" if measure == "pass_at_1" else "mean reward")
    layout["xaxis"] |= {"tickprefix": "$", "rangemode": "tozero"}
    return Figure(
        "curves",
        "What a dollar bought",
        "By setting: the mean over seeds, and one standard deviation about it, as far as every seed has come.",
        "A curve for each setting; the table below has their ends.",
        tuple(traces),
        layout,
        Table(("setting", "seeds", "dollars", "mean", "spread"), tuple(rows)),
    )


def curve_of(folder: Path, measure: str) -> Points:
    """Dollars and what had been reached, of one run."""
    if measure == "pass_at_1":
        evals = list(records(folder / "events.jsonl", begins("eval")))
        return [(row["usd"], row["pass_at_1"]) for row in evals if row["benchmark"] == evals[0]["benchmark"]]
    steps = [(row["usd"], row["reward"]) for row in records(folder / "metrics.jsonl") if row.get("usd") is not None]
    window = max(1, len(steps) // 10)
    ends = range(window, len(steps) + 1)
    return [(steps[end - 1][0], fmean(reward for _, reward in steps[end - window : end])) for end in ends]


def averaged(seeds: Sequence[Points]) -> tuple[list[float], list[float], list[float]]:
    """Dollars, mean and standard deviation, each seed's curve being straight between its points.

    >>> averaged([[(0.0, 0.0), (2.0, 2.0)], [(0.0, 1.0), (1.0, 2.0)]])[1][::59]
    [0.5, 1.5]
    """
    begin, end = max(points[0][0] for points in seeds), min(points[-1][0] for points in seeds)
    grid = np.linspace(begin, max(begin, end), POINTS)
    values = np.array([np.interp(grid, [x for x, _ in points], [y for _, y in points]) for points in seeds])
    spread = values.std(axis=0, ddof=1) if len(seeds) > 1 else np.zeros(POINTS)
    return grid.tolist(), values.mean(axis=0).tolist(), spread.tolist()


def band(
    usd: list[float], mean: list[float], spread: list[float], name: str, place: int, *, percent: bool
) -> list[Trace]:
    """A line, and its spread below it."""
    scale = 100 if percent else 1
    shared = {"type": "scatter", "x": usd, "name": plain(name), "legendgroup": str(place)}
    unseen = {**shared, "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
    low, high = ([scale * (m + sign * s) for m, s in zip(mean, spread, strict=True)] for sign in (-1, 1))
    line = {"color": colour(place), "width": 2.5, "dash": DASHES[place % SERIES]}
    hover = f"$%{{x:.4f}}: %{{y:.3g}}<extra>{plain(name)}</extra>"
    return [
        {**unseen, "y": low},
        {**unseen, "y": high, "fill": "tonexty", "fillcolor": colour(place, 0.2)},
        {**shared, "mode": "lines", "y": [scale * value for value in mean], "line": line, "hovertemplate": hover},
    ]
