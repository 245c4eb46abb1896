"""What is there to read: completions with what they were worth, alarms with what to try, notices."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import RenderableType
from rich.text import Text

from tina_lite.budget.money import format_price, format_usd
from tina_lite.console.closing import interval
from tina_lite.console.lines import why_nothing
from tina_lite.console.screen import DIM, FRAME_CELLS, FRAME_ROWS, framed, plain
from tina_lite.console.state import ConsoleState, Forecast, Line, Shown
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
from tina_lite.runs.events import AlarmRaised, Evaluated, Sample
from tina_lite.runs.health import HEALTHY
from tina_lite.util.records import PHASES, PhaseName

WARN = "yellow"
LINE_ROWS_MOST = 2
QUESTION_ROWS_MOST = 8
ROWS_FOR_A_GAP = 8
ROWS_FOR_WHY = 6
LINE_MARKS = {"info": ("·", DIM), "warning": ("!", WARN), "printed": (">", DIM)}


def draw_sample(shown: Shown | None, kind: str, width: int, height: int) -> RenderableType:
    """A question, what the model made of it, what that was worth, and why it got nothing where it did not."""
    if shown is None:
        return framed([Text("the first completion comes with the first step", DIM)], height, kind)
    sample = shown.sample
    inside, room = width - FRAME_CELLS, height - FRAME_ROWS
    why = why_nothing(sample) if room >= ROWS_FOR_WHY else ""
    reasons = fold(why, inside, 2)
    room -= len(reasons)
    question = paragraph(sample.question, inside, min(QUESTION_ROWS_MOST, room // 2))
    gap = [Text()] if room >= ROWS_FOR_A_GAP else []
    answer = paragraph(sample.completion, inside, room - len(question) - len(gap))
    lines = [*(Text(line, "cyan") for line in question), *gap, *map(Text, answer)]
    lines += [Text()] * (room - len(lines)) + [Text(line, WARN) for line in reasons]
    cut = "" if sample.finish_reason == "stop" else ", cut off"
    return framed(lines, height, f"{kind}, step {shown.step}{cut}", worth(sample, inside))


def paragraph(text: str, width: int, rows: int) -> list[str]:
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


def alarm_rows(alarms: Sequence[AlarmRaised], width: int, most: int) -> int:
    """How many rows the box of alarms takes; 0 where nothing is amiss."""
    lines = len(_alarm_lines(alarms, width - FRAME_CELLS))
    return min(most, lines + FRAME_ROWS) if lines else 0


def draw_alarms(alarms: Sequence[AlarmRaised], width: int, height: int) -> RenderableType:
    return framed(_alarm_lines(alarms, width - FRAME_CELLS), height, "health")


def _alarm_lines(alarms: Sequence[AlarmRaised], width: int) -> list[Text]:
    lines: list[Text] = []
    for alarm in alarms:
        for text, mark, style in ((alarm.words, "!", f"bold {WARN}"), (f"try {alarm.advice}", " ", "")):
            folded = fold(text, width - 2, LINE_ROWS_MOST)
            lines += [Text(f"{' ' if index else mark} {line}", style) for index, line in enumerate(folded)]
    return lines


def draw_notices(
    lines: Sequence[Line], alarms: Sequence[AlarmRaised], width: int, height: int, boxed: bool
) -> RenderableType:
    """Draw the latest notices, the newest last. Without a box, alarms stand before them, each in a line."""
    if boxed:
        return framed(_notices(lines, width - FRAME_CELLS, height - FRAME_ROWS), height, "notices")
    shown = [
        Text(f" {' ' if index else '!'} {line}", WARN)
        for alarm in alarms
        for index, line in enumerate(fold(f"{alarm.words}: try {alarm.advice}", width - 4, LINE_ROWS_MOST))
    ][:height]
    return plain([*shown, *_notices(lines, width - 1, height - len(shown))], height)


def _notices(lines: Sequence[Line], width: int, room: int) -> list[Text]:
    shown: list[Text] = []
    for line in reversed(lines):
        if len(shown) >= room:
            break
        mark, style = LINE_MARKS[line.level]
        folded = fold(one_line(line.text), width - 3, min(LINE_ROWS_MOST, room - len(shown)))
        shown = [Text(f" {' ' if index else mark} {text}", style) for index, text in enumerate(folded)] + shown
    return shown


LABEL_CELLS = 14
PHASE_STYLES = dict(zip(PHASES, ("blue", "cyan", "magenta", "green", "yellow", "white", "bright_black"), strict=True))


@dataclass(frozen=True, slots=True)
class BarLine:
    """Holds a label, the shares of its bar with their styles, and its words."""

    label: str
    parts: tuple[tuple[float, str], ...]
    words: str


def run_lines(state: ConsoleState, forecast: Forecast | None, now: float) -> list[BarLine]:
    """Steps, the phase under way, dollars."""
    return [steps_line(state, forecast), phase_line(state, now), money_line(state, forecast, now)]


def draw_run(state: ConsoleState, now: float, width: int, height: int) -> RenderableType:
    forecast, inside = state.forecast(now), width - FRAME_CELLS
    bars = run_lines(state, forecast, now)
    cells = max(0, inside - LABEL_CELLS - max(len(line.words) for line in bars) - 2)
    lines = [labelled(line.label, bar(cells, *line.parts), f"  {line.words}") for line in bars]
    if height > len(lines) + 2:
        spent = spent_on(state, now)
        shares = [(share / 100, PHASE_STYLES[phase]) for share, phase in spent]
        lines += [labelled("spent on", bar(inside - LABEL_CELLS, *shares)), _legend(spent)]
    return framed(lines, height, _title(state, now), left_words(state, forecast))


def spent_on(state: ConsoleState, now: float) -> list[tuple[int, PhaseName]]:
    """Per cent of the dollars by phase, the largest first."""
    usd = state.phase_usd_at(now)
    whole = sum(usd.values()) or 1.0
    shares = sorted(((round(100 * max(0.0, spent) / whole), phase) for phase, spent in usd.items()), reverse=True)
    return [(share, phase) for share, phase in shares if share]


def _legend(spent: Sequence[tuple[int, PhaseName]]) -> Text:
    legend = Text()
    for share, phase in spent:
        legend.append("■ ", PHASE_STYLES[phase]).append(f"{phase} {share}% ", DIM)
    return legend


def labelled(label: str, drawn: Text, words: str = "") -> Text:
    """A line of a box: what it is about, a bar or a chart or a text, and words."""
    line = Text(label, DIM)
    line.truncate(LABEL_CELLS - 1, overflow="ellipsis")
    line.pad_right(LABEL_CELLS - line.cell_len)
    return Text.assemble(line, drawn, words)


def _title(state: ConsoleState, now: float) -> str:
    if not state.step:
        return "starting"
    title = f"step {state.step}" + (f" of {state.steps_planned}" if state.steps_planned else "")
    more = state.affordable_steps(now)
    return title if more is None or state.over else f"{title}, money for {more:,} more"


def steps_line(state: ConsoleState, forecast: Forecast | None) -> BarLine:
    planned = forecast.steps if forecast else state.steps_planned
    if not planned:
        return BarLine("steps", (), f"{state.steps_done}")
    about = "about " if forecast and forecast.ends_by != "steps" else ""
    return BarLine("steps", ((state.steps_done / planned, "cyan"),), f"{state.steps_done} of {about}{planned}")


def phase_line(state: ConsoleState, now: float) -> BarLine:
    progress = state.progress
    if progress is None or progress.phase != state.phase or not progress.total:
        return BarLine(state.phase, (), format_duration(state.elapsed_at(now) - state.phase_from_s))
    words = f"{progress.done:,} of {progress.total:,} {one_line(progress.unit)}"
    return BarLine(state.phase, ((progress.done / progress.total, PHASE_STYLES[state.phase]),), words)


def money_line(state: ConsoleState, forecast: Forecast | None, now: float) -> BarLine:
    """Spent in full colour, the rest of what is forecast in a darker one, up to the cap."""
    cap = state.started.max_usd if state.started else None
    usd = state.usd_at(now)
    if not cap:
        return BarLine("dollars", (), format_usd(usd))
    parts = [(usd / cap, "yellow" if usd < 0.9 * cap else "red")]
    if forecast:
        parts.append(((forecast.usd - usd) / cap, "dim yellow"))
    return BarLine("dollars", tuple(parts), f"{format_usd(usd)} of {format_price(cap)}")


def left_words(state: ConsoleState, forecast: Forecast | None) -> str:
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


VALUES_CELLS = 20
STEPS_KNOWN = 3
"""Before their pace is set beside the planned one."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A metric that is shown over the steps."""

    label: str
    metric: str
    style: str
    show: Callable[[float], str] = format_number
    vital: bool = True
    """Whether it stays a curve, and may be a tall one, in a small window."""


def draw_learning(state: ConsoleState, width: int, height: int) -> RenderableType:
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
    return framed([*lines, *facts], height, "learning", f"{hidden} more in a taller window" if hidden else "")


def curves_of(state: ConsoleState) -> list[Curve]:
    """Reward first, its parts, how long the completions are; then what else is known."""
    parts = [Curve(one_line(name), f"rewards/{name}/mean", "cyan") for name in state.reward_names()]
    further = [
        Curve("entropy", "entropy", "blue", vital=False),
        Curve("kl", "kl", "blue", vital=False),
        Curve("no variance", "frac_reward_zero_std", "blue", format_percent, vital=False),
        Curve("cut off", "completions/clipped_ratio", "blue", format_percent, vital=False),
        Curve("grad norm", "grad_norm", "blue", vital=False),
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
    ([1, 1, 1], [3, 2, 1], [12, 5, 1])
    """
    others = [index for index in range(1, len(vital)) if vital[index]]
    steps = [(0, 3), *((i, 2) for i in others), *((0, rows) for rows in range(4, 9)), *((i, 3) for i in others)]
    steps += [*((0, rows) for rows in range(9, 13)), *((i, rows) for rows in (4, 5) for i in others)]
    rows, spare = [1] * len(vital), room - len(vital)
    for index, wanted in steps if vital else []:
        more = _with_gap(wanted) - _with_gap(rows[index])
        if 0 < more <= spare:
            rows[index], spare = wanted, spare - more
    return rows


def _with_gap(rows: int) -> int:
    return rows + (rows > 1)


def curve_lines(state: ConsoleState, curve: Curve, width: int, rows: int) -> list[Text]:
    """Draw a curve: label, chart, first and latest value."""
    values = state.history.series(curve.metric)
    label = Text(curve.label)
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


def figures_line(state: ConsoleState, curves: Sequence[Curve]) -> Text:
    """Write the latest values in one line."""
    line = Text()
    for curve in curves:
        value = state.latest(curve.metric)
        if value is not None:
            line.append(f"{curve.label} ", DIM).append_text(_figure(curve, value)).append("  ")
    return line


def facts_lines(state: ConsoleState) -> list[Text]:
    benchmarks = list(dict.fromkeys(result.benchmark for result in state.evals))
    return [speed_line(state), *(eval_line(state, name, named=len(benchmarks) > 1) for name in benchmarks)]


def speed_line(state: ConsoleState) -> Text:
    speed, memory, seconds_per_step = (
        state.latest("tokens_per_second"),
        state.latest("peak_bytes"),
        state.seconds_per_step(),
    )
    parts = [
        f"{speed:,.0f} tok/s" if speed is not None else "",
        f"{seconds_per_step:.1f} s/step{_planned(state)}" if seconds_per_step is not None else "",
        f"{memory / 2**30:.2f} GiB peak" if memory is not None else "",
    ]
    return labelled("speed", Text(" · ".join(part for part in parts if part) or "-"))


def _planned(state: ConsoleState) -> str:
    """Beside a pace that is known."""
    planned = state.started.planned_step_s if state.started else None
    return f", planned {planned:.1f}" if planned is not None and len(state.marks_s) > STEPS_KNOWN else ""


def eval_line(state: ConsoleState, benchmark: str, named: bool) -> Text:
    """The first result and the latest; the benchmark's name where there are several."""
    results = [result for result in state.evals if result.benchmark == benchmark]
    line = labelled("Pass@1", _result(results[0]))
    if len(results) > 1:
        line.append(" → ", DIM).append_text(_result(results[-1]))
    return line.append(f"  {one_line(benchmark)}", DIM) if named else line


def _result(result: Evaluated) -> Text:
    return Text.assemble((format_share(result.pass_at_1), "bold green"), (interval(result.ci95), DIM))
