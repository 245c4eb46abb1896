"""Curves for plotly.js: a moving mean with its 95% interval, lines, axes and notes, as plain values."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import sqrt
from statistics import fmean
from typing import Any

from tina_lite.eval.statistics import student_t

LEAST_WINDOW = 5
STRETCHES = 12
"""A window is one part in so many of the run: wide enough to be calm, narrow enough to turn where the run turns."""


@dataclass(frozen=True, slots=True)
class Smooth:
    """A moving mean; as many points as there were values."""

    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    window: int
    """Steps."""


def smoothed(values: Sequence[float]) -> Smooth:
    """Centred mean over a window of steps, cut short at both ends, with Student's 95% interval of that mean.

    The spread is that of the steps in the window, so where the curve climbs the interval is too wide, never too narrow.

    >>> calm = smoothed([1.0] * 9)
    >>> calm.mean[0], calm.low[4], calm.high[4], calm.window
    (1.0, 1.0, 1.0, 5)
    """
    count, window = len(values), max(LEAST_WINDOW, len(values) // STRETCHES) | 1
    centre = fmean(values) if count else 0.0  # near which sums of squares lose no digits
    sums = [0.0, *accumulate(value - centre for value in values)]
    squares = [0.0, *accumulate((value - centre) ** 2 for value in values)]
    mean, low, high = [], [], []
    for index in range(count):
        start, end = max(0, index - window // 2), min(count, index + window // 2 + 1)
        near, total = end - start, sums[end] - sums[start]
        spread = max(0.0, squares[end] - squares[start] - total * total / near)
        reach = student_t(near - 1) * sqrt(spread / (near - 1) / near) if near > 1 else 0.0
        mean.append(centre + total / near)
        low.append(mean[-1] - reach)
        high.append(mean[-1] + reach)
    return Smooth(tuple(mean), tuple(low), tuple(high), window)


SERIES = 7
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot", "4px,2px")
MOST_POINTS = 2000
"""A curve of twice as many would only make the page larger: its window is wider than the gaps."""
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "star", "x")

Trace = dict[str, Any]


def curve(
    points: Sequence[tuple[float, float]],
    name: str,
    place: int,
    group: str,
    *,
    dots: bool,
    band: bool = True,
    hover: str = "step %{x}",
) -> list[Trace]:
    """A moving mean, its band below it, and the single values as dots; nothing for no points."""
    if not points:
        return []
    smooth = smoothed([value for _, value in points])
    stride = max(1, len(points) // MOST_POINTS)
    shown = range(len(points))[::-stride][::-1]  # the last is among them
    x = [points[at][0] for at in shown]
    shared = {"type": "scatter", "legendgroup": group, "name": name, "x": x}
    traces: list[Trace] = []
    if band and len(points) > 2:
        unseen = {**shared, "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
        traces.append({**unseen, "y": [smooth.low[at] for at in shown]})
        traces.append(
            {**unseen, "y": [smooth.high[at] for at in shown], "fill": "tonexty", "fillcolor": colour(place, 0.2)}
        )
    if dots:
        marker = {"size": 3.5, "color": colour(place, 0.5)}
        values = [points[at][1] for at in shown]
        traces.append(
            {**shared, "mode": "markers", "y": values, "marker": marker, "hoverinfo": "skip", "showlegend": False}
        )
    line = {"color": colour(place), "width": 2.5, "dash": DASHES[place % SERIES]}
    mode = "lines" if len(points) > 1 else "markers"
    template = f"{hover}: %{{y:.3g}}<extra>{plain(name)}</extra>"
    mean = [smooth.mean[at] for at in shown]
    drawn = {**shared, "mode": mode, "y": mean, "line": line, "hovertemplate": template}
    return [*traces, {**drawn, "marker": {"color": colour(place)}}]


def lines(x: Sequence[float], y: Sequence[float], name: str, place: int) -> list[Trace]:
    if not x:
        return []
    line = {"color": colour(place), "width": 1.5, "dash": DASHES[place % SERIES]}
    template = f"minute %{{x:.1f}}: $%{{y:.4f}}<extra>{plain(name)}</extra>"
    shown = {"type": "scatter", "mode": "lines", "x": list(x), "y": list(y), "name": name}
    return [{**shown, "line": line, "hovertemplate": template}]


def axes(x: str, y: str) -> dict[str, Any]:
    """Make a layout with these titles."""
    return {
        "xaxis": axis(x),
        "yaxis": axis(y),
        "height": 360,
        "margin": {"l": 56, "r": 14, "t": 34, "b": 44},
        "legend": {"orientation": "h", "y": 1.01, "x": 0, "yanchor": "bottom"},
        "hovermode": "closest",
        "dragmode": False,
    }


def axis(title: str) -> dict[str, Any]:
    return {"title": {"text": title, "font": {"size": 13}}, "zeroline": False, "fixedrange": True, "automargin": True}


def upright(step: int, place: int) -> dict[str, Any]:
    line = {"color": colour(place), "width": 2, "dash": "dot"}
    return {"type": "line", "x0": step, "x1": step, "xref": "x", "y0": 0, "y1": 1, "yref": "paper", "line": line}


def note(step: int, text: str, place: int) -> dict[str, Any]:
    where = {
        "x": step,
        "xref": "x",
        "y": 1,
        "yref": "paper",
        "yanchor": "top",
        "xanchor": "left",
        "yshift": -14 * place,
    }
    return {**where, "text": plain(text), "showarrow": False, "xshift": 4, "bgcolor": "--surface"}


def colour(place: int, opacity: float = 1.0) -> str:
    return f"--series-{place % SERIES + 1}" + (f"/{opacity}" if opacity < 1 else "")


def plain(text: str) -> str:
    """plotly.js reads some HTML and its own placeholders in text."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("%{", "%\u200b{")
