"""How far, how long, how much: the upper box of the picture, from words that are made before anything is drawn."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from tina_lite.budget.money import format_price, format_usd
from tina_lite.console.frame import DIM, FRAME_CELLS, Row, framed
from tina_lite.console.state import Forecast, RunState
from tina_lite.console.text import bar, format_duration, one_line
from tina_lite.records import PHASES

LABEL_CELLS = 14
PHASE_STYLES = dict(zip(PHASES, ("blue", "cyan", "magenta", "green", "yellow", "white", "bright_black"), strict=True))


@dataclass(frozen=True, slots=True)
class BarLine:
    """A label, the shares of its bar with their styles, its words."""

    label: str
    parts: tuple[tuple[float, str], ...]
    words: str


@dataclass(frozen=True, slots=True)
class RunBox:
    """All that the box shows; two that are equal look the same."""

    title: str
    lines: tuple[BarLine, ...]
    spent_on: tuple[tuple[int, str], ...]
    """Per cent by phase, the largest first."""
    left: str


def run_box(state: RunState, now: float, cells: int) -> RunBox:
    """The words of now; a bar that has not grown by a cell of `cells` has not changed."""
    forecast = state.forecast(now)
    lines = [steps_line(state, forecast), phase_line(state, now), money_line(state, forecast, now)]
    usd = state.phase_usd_at(now)
    whole = sum(usd.values()) or 1.0
    shares = sorted(((round(100 * max(0.0, spent) / whole), phase) for phase, spent in usd.items()), reverse=True)
    return RunBox(
        title=_title(state, now),
        lines=tuple(BarLine(line.label, _by_cells(line.parts, cells), line.words) for line in lines),
        spent_on=tuple((share, phase) for share, phase in shares if share),
        left=left_words(state, forecast),
    )


def _by_cells(parts: Sequence[tuple[float, str]], cells: int) -> tuple[tuple[float, str], ...]:
    return tuple((int(share * max(1, cells) + 1e-9) / max(1, cells), style) for share, style in parts)


def draw_run_box(box: RunBox, width: int, height: int) -> list[Row]:
    inside = width - FRAME_CELLS
    said = max(len(line.words) for line in box.lines)
    cells = max(0, inside - LABEL_CELLS - said - 2)
    lines = [labelled(line.label, bar(cells, *line.parts), f"  {line.words}") for line in box.lines]
    if height > len(lines) + 2:
        shares = [(share / 100, PHASE_STYLES[phase]) for share, phase in box.spent_on]  # type: ignore[index]
        lines += [labelled("spent on", bar(inside - LABEL_CELLS, *shares)), _legend(box)]
    return framed(lines, width, height, box.title, box.left)


def _legend(box: RunBox) -> Text:
    legend = Text()
    for share, phase in box.spent_on:
        legend.append("■ ", PHASE_STYLES[phase]).append(f"{phase} {share}% ", DIM)  # type: ignore[index]
    return legend


def labelled(label: str, drawn: Text, words: str = "") -> Text:
    """A line of a box: what it is about, a bar or a chart or a text, and words."""
    line = Text(label, DIM)
    line.truncate(LABEL_CELLS - 1, overflow="ellipsis")
    line.pad_right(LABEL_CELLS - line.cell_len)
    return Text.assemble(line, drawn, words)


def _title(state: RunState, now: float) -> str:
    if not state.step:
        return "starting"
    title = f"step {state.step}" + (f" of {state.steps_planned}" if state.steps_planned else "")
    more = state.affordable_steps(now)
    return title if more is None or state.over else f"{title}, money for {more:,} more"


def steps_line(state: RunState, forecast: Forecast | None) -> BarLine:
    planned = forecast.steps if forecast else state.steps_planned
    if not planned:
        return BarLine("steps", (), f"{state.steps_done}")
    about = "about " if forecast and forecast.ends_by != "steps" else ""
    return BarLine("steps", ((state.steps_done / planned, "cyan"),), f"{state.steps_done} of {about}{planned}")


def phase_line(state: RunState, now: float) -> BarLine:
    progress = state.progress
    if progress is None or progress.phase != state.phase or not progress.total:
        return BarLine(state.phase, (), format_duration(state.elapsed_at(now) - state.phase_from_s))
    words = f"{progress.done:,} of {progress.total:,} {one_line(progress.unit)}"
    return BarLine(state.phase, ((progress.done / progress.total, PHASE_STYLES[state.phase]),), words)


def money_line(state: RunState, forecast: Forecast | None, now: float) -> BarLine:
    """Spent in full colour, the rest of what is foretold in a darker one, up to the cap."""
    cap = state.started.max_usd if state.started else None
    usd = state.usd_at(now)
    if not cap:
        return BarLine("dollars", (), format_usd(usd))
    parts = [(usd / cap, "yellow" if usd < 0.9 * cap else "red")]
    if forecast:
        parts.append(((forecast.usd - usd) / cap, "dim yellow"))
    return BarLine("dollars", tuple(parts), f"{format_usd(usd)} of {format_price(cap)}")


def left_words(state: RunState, forecast: Forecast | None) -> str:
    if state.over:
        return state.over
    if forecast is None:
        return "time left is known after the first step" if state.started else ""
    end = {
        "steps": f"about {format_usd(forecast.usd)} at the end",
        "money": "then the money ends",
        "hours": "then the time is up",
    }[forecast.ends_by]
    return f"{format_duration(forecast.seconds)} left, {end}"
