"""The live picture, as a pure function of a run's state, the terminal's size and the time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.box import ROUNDED
from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.layout import Layout
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from tina_lite.budget.money import format_price, format_usd
from tina_lite.console.closing import closing_facts, interval
from tina_lite.console.state import Forecast, Line, RunState
from tina_lite.console.text import (
    bar,
    chart,
    fold,
    format_duration,
    format_number,
    format_percent,
    format_share,
    one_line,
)
from tina_lite.runs.events import PHASES, Evaluated, Sample

WIDE = 110
TALL = 32
FRAME_ROWS = 2
FRAME_CELLS = 4
HEADER_ROWS = 2
SMALLEST_CELLS = 40
SMALLEST_ROWS = 12
LABEL_CELLS = 14
VALUES_CELLS = 20
LINE_ROWS_MOST = 2

DIM = "dim"
WARN = "yellow"
PHASE_STYLES = dict(zip(PHASES, ("blue", "cyan", "magenta", "green", "yellow", "white", "bright_black"), strict=True))
LINE_MARKS = {"info": ("·", DIM), "warning": ("!", WARN), "printed": (">", DIM)}

HEALTHY = {
    "frac_reward_zero_std": (0.0, 0.8),
    "entropy": (0.05, 0.5),
    "grad_norm": (0.001, 1.0),
    "kl": (-0.5, 0.5),
    "completions/clipped_ratio": (0.0, 0.3),
}
"""Ranges in which training is known to go well (Axolotl, docs/training_stability.qmd); a value outside is marked."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A metric that is shown over the steps."""

    label: str
    metric: str
    style: str
    show: Callable[[float], str] = format_number
    vital: bool = True
    """Whether it stays a curve, and may be a tall one, in a small window."""


def draw(state: RunState, width: int, height: int, now: float) -> RenderableType:
    """The picture, `width` x `height` cells; `now` is the clock that `after` was given."""
    if width < SMALLEST_CELLS or height < SMALLEST_ROWS:
        return Layout(draw_tiny(state, now))
    wide, tall = width >= WIDE, height >= TALL
    screen = Layout()
    body = height - HEADER_ROWS
    column = (width + 1) // 2 if wide else width
    run_rows = FRAME_ROWS + (5 if tall else 3)
    line_rows = (FRAME_ROWS + 4 if tall else FRAME_ROWS + 2) if wide else (4 if tall else 2)
    sample_rows = body - line_rows if wide else max(5, (body - run_rows - line_rows) * 2 // 5)
    learning_rows = body - run_rows if wide else body - run_rows - line_rows - sample_rows

    run = Layout(run_box(state, column, tall, now), size=run_rows)
    learning = Layout(learning_box(state, column, max(0, learning_rows)))
    sample = Layout(sample_box(state, width - column if wide else width, sample_rows), size=sample_rows)
    lines = Layout(lines_box(state.lines, width - column if wide else width, line_rows, framed=wide), size=line_rows)
    header = Layout(draw_header(state, now), size=HEADER_ROWS)
    if wide:
        columns, left, right = Layout(), Layout(size=column), Layout()
        left.split_column(run, learning)
        right.split_column(sample, lines)
        columns.split_row(left, right)
        screen.split_column(header, columns)
    else:
        screen.split_column(header, run, learning, sample, lines)
    return screen


def draw_tiny(state: RunState, now: float) -> Text:
    """For a window in which nothing else fits."""
    forecast = state.forecast(now)
    rows = [steps_row(state, forecast), phase_row(state, now), money_row(state, forecast, now)]
    lines = [f"{label} {words}" for label, _, words in rows] + [_left(state, forecast)]
    return Text("\n".join(lines), no_wrap=True, overflow="ellipsis")


def draw_header(state: RunState, now: float) -> RenderableType:
    started = state.started
    if started is None:
        return Padding(Text("tina-lite", "bold"), (0, 1))
    name = Text.assemble(("tina-lite", DIM), " ", (one_line(started.name), "bold cyan"))
    if started.resumed_from_step:
        name.append(f"  resumed after step {started.resumed_from_step}", DIM)
    model = one_line(started.model.rstrip("/").rsplit("/", 1)[-1])
    rate = f"{format_price(started.rate)}/h"
    machine = Text.assemble(model, (" · ", DIM), one_line(started.engine), (" on ", DIM), one_line(started.device))
    price = Text.assemble((rate, "yellow"), (f" ({one_line(started.rate_source)})", DIM))
    clock = Text.assemble((format_duration(state.elapsed_at(now)), "bold"), (f" · seed {started.seed}", DIM))
    return Padding(Group(_ends(name, clock), _ends(machine, price)), (0, 1))


def _ends(left: Text, right: Text) -> Table:
    """A line with a left end and a right end; the left one gives way."""
    left.no_wrap = right.no_wrap = True
    left.overflow = "ellipsis"
    grid = Table.grid(expand=True)
    grid.add_column(ratio=1, no_wrap=True)
    grid.add_column(justify="right", no_wrap=True)
    grid.add_row(left, right)
    return grid


def run_box(state: RunState, width: int, tall: bool, now: float) -> Panel:
    """How far, how long, how much."""
    forecast = state.forecast(now)
    rows = [steps_row(state, forecast), phase_row(state, now), money_row(state, forecast, now)]
    inside = width - FRAME_CELLS
    said = max(len(words) for _, _, words in rows)
    cells = max(0, inside - LABEL_CELLS - said - 2)
    lines = [_bar_line(label, bar(cells, *parts), words) for label, parts, words in rows]
    if tall:
        lines += phase_lines(state, inside - LABEL_CELLS, now)
    title = f"step {state.step}" + (f" of {state.steps_planned}" if state.steps_planned else "")
    return _box(Group(*lines), title if state.step else "starting", _left(state, forecast))


Row = tuple[str, list[tuple[float, str]], str]
"""A label, the parts of its bar, its words."""


def steps_row(state: RunState, forecast: Forecast | None) -> Row:
    planned = forecast.steps if forecast else state.steps_planned
    if not planned:
        return "steps", [], f"{state.steps_done}"
    about = "about " if forecast and forecast.ends_by != "steps" else ""
    return "steps", [(state.steps_done / planned, "cyan")], f"{state.steps_done} of {about}{planned}"


def phase_row(state: RunState, now: float) -> Row:
    style = PHASE_STYLES[state.phase]
    progress = state.progress
    if progress is None or progress.phase != state.phase or not progress.total:
        return state.phase, [], format_duration(state.elapsed_at(now) - state.phase_from_s)
    words = f"{progress.done:,} of {progress.total:,} {one_line(progress.unit)}"
    return state.phase, [(progress.done / progress.total, style)], words


def money_row(state: RunState, forecast: Forecast | None, now: float) -> Row:
    cap = state.started.max_usd if state.started else None
    usd = state.usd_at(now)
    if not cap:
        return "dollars", [], format_usd(usd)
    parts = [(usd / cap, "yellow" if usd < 0.9 * cap else "red")]
    if forecast:
        parts.append(((forecast.usd - usd) / cap, "dim yellow"))
    return "dollars", parts, f"{format_usd(usd)} of {format_price(cap)}"


def phase_lines(state: RunState, cells: int, now: float) -> list[Text]:
    """Where the money of this session went."""
    usd = state.phase_usd_at(now)
    whole = sum(usd.values()) or 1.0
    parts = sorted(((max(0.0, spent) / whole, phase) for phase, spent in usd.items()), reverse=True)
    drawn = bar(cells, *((share, PHASE_STYLES[phase]) for share, phase in parts))
    legend = Text(no_wrap=True, overflow="ellipsis")
    for share, phase in parts:
        if share >= 0.005:
            legend.append("■ ", PHASE_STYLES[phase]).append(f"{phase} {share:.0%} ", DIM)
    return [_bar_line("spent on", drawn, ""), legend]


def _bar_line(label: str, drawn: Text, words: str) -> Text:
    return _labelled(label).append_text(drawn).append(f"  {words}" if words else "")


def _labelled(label: str) -> Text:
    return Text.assemble((label.ljust(LABEL_CELLS), DIM), no_wrap=True, overflow="ellipsis")


def _left(state: RunState, forecast: Forecast | None) -> str:
    if state.summary is not None:
        return "finished"
    if forecast is None:
        return "time left is known after the first step" if state.started else ""
    end = {
        "steps": f"about {format_usd(forecast.usd)} at the end",
        "money": "then the money ends",
        "hours": "then the time is up",
    }[forecast.ends_by]
    return f"{format_duration(forecast.seconds)} left, {end}"


def learning_box(state: RunState, width: int, height: int) -> Panel:
    """Curves where there is room, the rest as figures."""
    facts = facts_lines(state)
    curves = curves_of(state)
    room = height - FRAME_ROWS - len(facts)
    if room < len(curves):
        facts = [figures_line(state, [curve for curve in curves if not curve.vital]), *facts]
        curves = [curve for curve in curves if curve.vital]
        room -= 1
    shown = _fitting(curves, room)
    lines: list[Text] = []
    for curve, rows in zip(shown, chart_rows([curve.vital for curve in shown], room), strict=True):
        lines += curve_lines(state, curve, width - FRAME_CELLS, rows)
    hidden = len(curves) - len(shown)
    return _box(Group(*lines, *facts), "learning", f"{hidden} more in a taller window" if hidden > 0 else "")


def curves_of(state: RunState) -> list[Curve]:
    """Reward first, its parts, how long the completions are; then what else is known."""
    parts = [Curve(one_line(name), f"rewards/{name}/mean", "cyan") for name in state.reward_names()]
    further = [
        Curve("grad norm", "grad_norm", "blue", vital=False),
        Curve("no variance", "frac_reward_zero_std", "blue", format_percent, vital=False),
        Curve("cut off", "completions/clipped_ratio", "blue", format_percent, vital=False),
        Curve("entropy", "entropy", "blue", vital=False),
        Curve("kl", "kl", "blue", vital=False),
        Curve("lr", "learning_rate", "blue", "{:.1e}".format, vital=False),
    ]
    known = [curve for curve in further if state.latest(curve.metric) is not None]
    return [Curve("reward", "reward", "green"), *parts, Curve("length", "completions/mean_length", "magenta"), *known]


def _fitting(curves: Sequence[Curve], room: int) -> list[Curve]:
    """The first ones, and always the length, which stands last."""
    return list(curves) if len(curves) <= room else [*curves[: max(0, room - 1)], curves[-1]][: max(0, room)]


def chart_rows(vital: Sequence[bool], room: int) -> list[int]:
    """How tall each chart may be. The first one grows most; a tall one has an empty line below it.

    >>> chart_rows([True, True, False], 3), chart_rows([True, True, False], 8), chart_rows([True, True, False], 99)
    ([1, 1, 1], [3, 2, 1], [12, 3, 1])
    """
    others = [index for index in range(1, len(vital)) if vital[index]]
    steps = [(0, 3), *((i, 2) for i in others), *((0, rows) for rows in range(4, 9)), *((i, 3) for i in others)]
    rows, spare = [1] * len(vital), room - len(vital)
    for index, wanted in [*steps, *((0, rows) for rows in range(9, 13))] if vital else []:
        more = _with_gap(wanted) - _with_gap(rows[index])
        if 0 < more <= spare:
            rows[index], spare = wanted, spare - more
    return rows


def _with_gap(rows: int) -> int:
    return rows + (rows > 1)


def curve_lines(state: RunState, curve: Curve, width: int, rows: int) -> list[Text]:
    """Label, chart, first and latest value."""
    values = state.series(curve.metric)
    label = Text(curve.label, no_wrap=True)
    label.truncate(LABEL_CELLS - 1, overflow="ellipsis")
    label.pad_right(LABEL_CELLS - label.cell_len)
    words = Text.assemble((f"  {curve.show(values[0])} → ", DIM), _figure(curve, values[-1])) if values else Text("  -")
    drawn = chart(values, max(1, width - LABEL_CELLS - VALUES_CELLS), rows)
    highest = Text.assemble((f"{curve.show(max(values)):>{LABEL_CELLS - 1}} " if values else "", DIM))
    margins = [*[highest, *[Text(" " * LABEL_CELLS)] * (rows - 2)][: rows - 1], label]
    lines = [margin + Text(line, curve.style) for margin, line in zip(margins, drawn, strict=True)]
    lines[-1].append_text(words)
    return [*lines, *([Text()] if rows > 1 else [])]


def _figure(curve: Curve, value: float) -> Text:
    low, high = HEALTHY.get(curve.metric, (value, value))
    healthy = low <= value <= high
    return Text(curve.show(value) + ("" if healthy else " !"), "bold" if healthy else f"bold {WARN}")


def figures_line(state: RunState, curves: Sequence[Curve]) -> Text:
    """The latest values in one line."""
    line = Text(no_wrap=True, overflow="ellipsis")
    for curve in curves:
        value = state.latest(curve.metric)
        if value is not None:
            line.append(f"{curve.label} ", DIM).append_text(_figure(curve, value)).append("  ")
    return line


def facts_lines(state: RunState) -> list[Text]:
    return [speed_line(state), *(eval_line(state, name) for name in dict.fromkeys(e.benchmark for e in state.evals))]


def speed_line(state: RunState) -> Text:
    speed, memory, pace = state.latest("tokens_per_second"), state.latest("peak_bytes"), state.pace()
    parts = [
        f"{speed:,.0f} tok/s" if speed is not None else "",
        f"{pace:.1f} s/step" if pace is not None else "",
        f"{memory / 2**30:.2f} GiB peak" if memory is not None else "",
    ]
    return _labelled("speed").append(" · ".join(part for part in parts if part) or "-")


def eval_line(state: RunState, benchmark: str) -> Text:
    results = [result for result in state.evals if result.benchmark == benchmark]
    line = _labelled("Pass@1").append_text(_result(results[0]))
    if len(results) > 1:
        line.append(" → ", DIM).append_text(_result(results[-1]))
    return line.append(f"  {one_line(benchmark)}", DIM)


def _result(result: Evaluated) -> Text:
    return Text.assemble((format_share(result.pass_at_1), "bold green"), (interval(result.ci95), DIM))


def sample_box(state: RunState, width: int, height: int) -> Panel:
    """A question, what the model made of it, and what that was worth."""
    sample = state.sample
    if sample is None:
        return _box(Text("the first completion comes with the first step", DIM), "a completion", "")
    inside, room = width - FRAME_CELLS, height - FRAME_ROWS
    question = _paragraph(sample.question, inside, min(8, room // 2))
    gap = [Text()] if room >= 8 else []
    answer = _paragraph(sample.completion, inside, room - len(question) - len(gap))
    styled = [*(Text(line, "cyan") for line in question), *gap, *map(Text, answer)]
    cut = "" if sample.finish_reason == "stop" else ", cut off"
    return _box(Group(*styled), f"a completion of step {state.steps_done}{cut}", worth(sample, inside))


def _paragraph(text: str, width: int, rows: int) -> list[str]:
    """With its line ends where there is room for them."""
    lines = fold(text, width, rows + 1)
    return lines if len(lines) <= rows else fold(one_line(text), width, rows)


def worth(sample: Sample, width: int) -> str:
    """As much as fits.

    >>> sample = Sample("1+1?", "2", "2", {"accuracy": 1.0, "format": None}, 2.0, 0.71, "stop")
    >>> worth(sample, 60), worth(sample, 40)
    ('accuracy 1 · format - · total 2 · advantage +0.71 · gold 2', 'accuracy 1 · format - · total 2')
    """
    rewards = [f"{one_line(name)} {'-' if v is None else f'{v:.3g}'}" for name, v in sample.rewards.items()]
    gold = "".join(fold(one_line(sample.answer), 20, 1))
    parts = [*rewards, f"total {sample.total:.3g}", f"advantage {sample.advantage:+.2f}", f"gold {gold}"]
    while parts and cell_len(" · ".join(parts)) > width:
        parts.pop()
    return " · ".join(parts)


def lines_box(lines: Sequence[Line], width: int, height: int, framed: bool) -> RenderableType:
    """The latest notices, the newest last."""
    room = height - FRAME_ROWS if framed else height
    cells = width - (FRAME_CELLS if framed else 1) - 3
    shown: list[Text] = []
    for line in reversed(lines):
        shown = _line(line, cells, min(LINE_ROWS_MOST, room - len(shown))) + shown
    return _box(Group(*shown), "notices", "") if framed else Group(*shown)


def _line(line: Line, width: int, rows: int) -> list[Text]:
    mark, style = LINE_MARKS[line.level]
    folded = fold(one_line(line.text), width, rows)
    return [Text(f" {' ' if index else mark} {text}", style) for index, text in enumerate(folded)]


def _box(content: RenderableType, title: str, subtitle: str) -> Panel:
    return Panel(
        content,
        box=ROUNDED,
        title=Text(title, "bold"),
        title_align="left",
        subtitle=Text(subtitle, DIM) if subtitle else None,
        subtitle_align="right",
        border_style=DIM,
        padding=(0, 1),
    )


def draw_closing(state: RunState) -> Table:
    """The few lines that stay on the screen when the run has ended."""
    title = Text.assemble((one_line(state.started.name) if state.started else "the run", "bold cyan"), " has ended")
    table = Table(title=title, title_justify="left", box=ROUNDED, show_header=False, border_style=DIM)
    table.add_column(style=DIM, no_wrap=True)
    table.add_column(overflow="fold")
    for label, value in closing_facts(state):
        table.add_row(label, Text(value.replace("->", "→"), "bold" if label in ("held-out Pass@1", "dollars") else ""))
    return table
