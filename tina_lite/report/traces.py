"""What plotly.js draws: curves with their bands, lines, axes and notes, as plain values."""

from collections.abc import Sequence
from typing import Any

from tina_lite.report.curves import smoothed

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
    """A layout with these titles."""
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
