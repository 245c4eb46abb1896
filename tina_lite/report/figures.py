"""Plotly figures as plain values, from runs: what plotly.js is given, and the same numbers as a table.

Colours are names of the page's CSS variables (`--series-1`), so that light and dark are the page's business; they are
those of Okabe and Ito, which colour-blind people can tell apart, and every series has a dash of its own besides.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from tina_lite.budget.money import format_usd
from tina_lite.console.text import format_number
from tina_lite.report.curves import (
    SERIES,
    SYMBOLS,
    Trace,
    axes,
    axis,
    colour,
    curve,
    lines,
    note,
    plain,
    smoothed,
    upright,
)
from tina_lite.report.read import Run
from tina_lite.util.records import PHASES

TABLE_ROWS = 20
FORMAT = "format"
CLIPPED = "completions/clipped_ratio"
LENGTH = "completions/mean_length"


@dataclass(frozen=True, slots=True)
class Table:
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def of_one_run(self) -> "Table":
        """Without the first column, the run, which would say the same in every row."""
        return Table(self.heads[1:], tuple(row[1:] for row in self.rows))


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure with what people need who do not see it."""

    name: str
    """For the page's anchors."""
    title: str
    caption: str
    alt: str
    """What the figure shows, in a sentence."""
    traces: tuple[Trace, ...]
    layout: dict[str, Any]
    table: Table


def figures(runs: Sequence[tuple[str, Run]]) -> list[Figure]:
    """Of labelled runs, those for which there are numbers."""
    drawn = (rewards(runs), against_dollars(runs), evaluations(runs), length_and_format(runs), money(runs))
    found = [figure for figure in drawn if figure is not None]
    return [replace(figure, table=figure.table.of_one_run()) for figure in found] if len(runs) == 1 else found


def rewards(runs: Sequence[tuple[str, Run]]) -> Figure | None:
    """The mean reward over the steps, with its interval; of a single run its components too."""
    alone = len(runs) == 1
    traces: list[Trace] = []
    for place, (label, run) in enumerate(runs):
        name = "total, weighted" if alone else label
        traces += curve(run.series("reward"), name, place, f"total{place}", dots=alone)
    names = runs[0][1].reward_names() if alone else []
    if len(names) > 1:
        for place, name in enumerate(names, start=1):
            traces += curve(runs[0][1].series(f"rewards/{name}/mean"), name, place, name, band=False, dots=False)
    if not traces:
        return None
    longest = max((run.series("reward") for _, run in runs), key=len)
    window = smoothed([value for _, value in longest]).window
    return Figure(
        "reward",
        "Reward",
        f"Mean reward of a step's completions: a moving mean over {window} steps with its 95% interval"
        + ("; dots are single steps." if alone else "."),
        _told("The mean reward", runs, "reward"),
        tuple(traces),
        axes("step", "mean reward"),
        _by_step(runs, {"reward": "reward", **{f"rewards/{name}/mean": name for name in names}}),
    )


def against_dollars(runs: Sequence[tuple[str, Run]]) -> Figure | None:
    """What a dollar bought: reward, and Pass@1 where it was measured on the way."""
    traces: list[Trace] = []
    rows: list[tuple[str, ...]] = []
    for place, (label, run) in enumerate(runs):
        points = [(row["usd"], row["reward"]) for row in run.metrics if _finite(row.get("usd"), row.get("reward"))]
        traces += curve(
            points, label if len(runs) > 1 else "reward", place, f"usd{place}", dots=False, hover="$%{x:.4f}"
        )
        rows += [(label, format_usd(usd), format_number(reward)) for usd, reward in _thin(points)]
    if not traces:
        return None
    layout = axes("US dollars spent", "mean reward")
    layout["xaxis"] |= {"tickprefix": "$", "rangemode": "tozero"}
    return Figure(
        "dollars",
        "Reward against dollars",
        "The same reward over the bill: loading and evaluation are on it, so the curve starts at what the start cost.",
        "The mean reward against the dollars that were spent until then.",
        tuple(traces),
        layout,
        Table(("run", "dollars", "reward"), tuple(rows)),
    )


def evaluations(runs: Sequence[tuple[str, Run]]) -> Figure | None:
    """Pass@1 with its 95% interval, in the order in which it was measured."""
    traces: list[Trace] = []
    rows: list[tuple[str, ...]] = []
    for place, (label, run) in enumerate(runs):
        measured = [m.result for m in (*run.evals, *run.benchmarks)]
        names = [_eval_name(label if len(runs) > 1 else "", m) for m in measured]
        shares = [100 * m.pass_at_1 for m in measured]
        if measured:
            above = [100 * m.ci95[1] - share for m, share in zip(measured, shares, strict=True)]
            below = [share - 100 * m.ci95[0] for m, share in zip(measured, shares, strict=True)]
            traces.append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "x": shares,
                    "y": names,
                    "name": label,
                    "marker": {"size": 11, "symbol": SYMBOLS[place % SERIES], "color": colour(place)},
                    "error_x": {
                        "type": "data",
                        "symmetric": False,
                        "array": above,
                        "arrayminus": below,
                        "color": colour(place),
                        "thickness": 2,
                        "width": 6,
                    },
                    "hovertemplate": "%{y}: %{x:.1f}%<extra></extra>",
                    "showlegend": False,
                }
            )
        rows += [
            (label, m.benchmark, _when(m.when, m.step), _share(m.pass_at_1, m.ci95), f"{m.problems} x {m.samples}")
            for m in measured
        ]
    if not traces:
        return None
    layout = axes("Pass@1, percent", "")
    layout["xaxis"] |= {"range": [-2, 102], "ticksuffix": "%"}
    layout["yaxis"] |= {"range": [len(rows) - 0.4, -0.6]}  # the first on top
    layout["height"] = 90 + 40 * len(rows)
    layout["margin"] |= {"t": 12}
    return Figure(
        "evaluation",
        "Evaluation",
        "Sampled Pass@1 with its 95% interval, whose unit is the problem.",
        "Pass@1 by benchmark and moment, with intervals: the table below has the same numbers.",
        tuple(traces),
        layout,
        Table(("run", "benchmark", "when", "Pass@1 [95%]", "problems x samples"), tuple(rows)),
    )


def length_and_format(runs: Sequence[tuple[str, Run]]) -> Figure | None:
    """Draw length above, format and cut-off completions below, over the same steps, with the turning point."""
    alone = len(runs) == 1
    traces: list[Trace] = []
    shapes, notes = [], []
    for place, (label, run) in enumerate(runs):
        name = "mean length" if alone else label
        traces += curve(run.series(LENGTH), name, place, f"length{place}", dots=alone)
        below = [(f"rewards/{FORMAT}/mean", "format reward"), (CLIPPED, "cut off")] if alone else []
        if not alone:
            below = [(f"rewards/{FORMAT}/mean", f"{label}, format")]
        for offset, (metric, text) in enumerate(below, start=1):
            colour = place + offset if alone else place
            lower = curve(run.series(metric), text, colour, f"{metric}{place}", dots=False, band=alone)
            traces += [
                {**trace, "yaxis": "y2", "showlegend": alone and trace.get("showlegend", True)} for trace in lower
            ]
        if run.turning_point is not None:
            shapes.append(upright(run.turning_point, place))
            text = f"turning point, step {run.turning_point}" if alone else f"{label}: step {run.turning_point}"
            notes.append(note(run.turning_point, text, place))
    if not traces:
        return None
    layout = axes("step", "tokens")
    layout["xaxis"] |= {"anchor": "y2"}
    layout["yaxis"] |= {"domain": [0.46, 1.0]}
    layout["yaxis2"] = {**axis("share"), "domain": [0.0, 0.36], "range": [-0.04, 1.06]}
    layout |= {"shapes": shapes, "annotations": notes, "height": 470}
    turned = any(run.turning_point is not None for _, run in runs)
    return Figure(
        "length",
        "Length and format",
        "Above: mean tokens of a completion. Below: the format reward, and the share of completions that were cut off. "
        + (
            "The line marks the turning point that the run found: in the paper the best checkpoint stands at or just "
            "before it (Tina, arXiv 2504.15777)."
            if turned
            else "No turning point was marked in this run; in the paper the best checkpoint stands at or just before "
            "the point at which both curves turn (Tina, arXiv 2504.15777)."
        ),
        _told("The mean length of completions", runs, LENGTH),
        tuple(traces),
        layout,
        _by_step(runs, {LENGTH: "length", f"rewards/{FORMAT}/mean": "format", CLIPPED: "cut off"}),
    )


def money(runs: Sequence[tuple[str, Run]]) -> Figure | None:
    """The bill over the hours: by phase for one run, as a line each for several."""
    traces: list[Trace] = []
    rows: list[tuple[str, ...]] = []
    for place, (label, run) in enumerate(runs):
        phases = [name for name in PHASES if run.usd_by_phase.get(name, 0.0) > 0]
        rows += [
            (label, name, format_usd(run.usd_by_phase[name]), _part(run.usd_by_phase[name], run.usd)) for name in phases
        ]
        minutes = [60 * spent.hours for spent in run.spent]
        if len(runs) > 1:
            traces += lines(minutes, [spent.usd for spent in run.spent], label, place)
            continue
        for at, name in enumerate(phases):
            usd = [spent.usd_by_phase.get(name, 0.0) for spent in run.spent]
            for trace in lines(minutes, usd, name, at):
                outline = {"color": colour(at), "width": 1}
                traces.append({**trace, "stackgroup": "bill", "fillcolor": colour(at, 0.6), "line": outline})
    if not rows:
        return None
    layout = axes("minutes, of all sessions", "US dollars")
    layout["yaxis"] |= {"tickprefix": "$", "rangemode": "tozero"}
    return Figure(
        "money",
        "Money",
        "The bill over time, by what it was spent on." if len(runs) == 1 else "The bill over time.",
        "Dollars spent over time: the table below has them by phase.",
        tuple(traces),
        layout,
        Table(("run", "spent on", "dollars", "share"), tuple(rows)),
    )


def _by_step(runs: Sequence[tuple[str, Run]], metrics: dict[str, str]) -> Table:
    known = {metric: head for metric, head in metrics.items() if any(run.series(metric) for _, run in runs)}
    rows = [
        (label, str(int(row["step"])), *(_cell(row.get(metric)) for metric in known))
        for label, run in runs
        for row in _thin(run.metrics)
    ]
    return Table(("run", "step", *known.values()), tuple(rows))


def _thin(items: Sequence[Any]) -> list[Any]:
    """The first, the last, and some between."""
    count = len(items)
    wanted = range(min(count, TABLE_ROWS))
    return [items[round(place * (count - 1) / max(1, len(wanted) - 1))] for place in wanted]


def _cell(value: Any) -> str:
    return format_number(value) if _finite(value) else "-"


def _finite(*values: Any) -> bool:
    return all(isinstance(value, int | float) and abs(value) != float("inf") and value == value for value in values)


def _told(what: str, runs: Sequence[tuple[str, Run]], metric: str) -> str:
    return "; ".join(_ends(what, label, run.series(metric)) for label, run in runs) + "."


def _ends(what: str, label: str, points: Sequence[tuple[int, float]]) -> str:
    if not points:
        return f"{what} of {label} is not known"
    mean = smoothed([value for _, value in points]).mean
    ends = [f"{format_number(mean[place])} at step {points[place][0]}" for place in (0, -1)]
    return f"{what} of {label} goes from {' to '.join(ends)}"


def _when(when: str, step: int) -> str:
    return f"step {step}" if when == "step" else when


def _eval_name(label: str, result: Any) -> str:
    return plain(" ".join(part for part in (label, result.benchmark, _when(result.when, result.step)) if part))


def _share(share: float, ci95: tuple[float, float]) -> str:
    return f"{share:.1%} [{100 * ci95[0]:.1f}, {100 * ci95[1]:.1f}]"


def _part(usd: float, whole: float) -> str:
    return f"{usd / whole:.0%}" if whole else "-"
