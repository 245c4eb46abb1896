"""What the model learns: curves over the steps where there is room, the rest as figures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.text import Text

from tina_lite.console.closing import interval
from tina_lite.console.frame import DIM, FRAME_CELLS, FRAME_ROWS, Row, framed
from tina_lite.console.run_box import LABEL_CELLS, labelled
from tina_lite.console.state import RunState
from tina_lite.console.text import chart, format_number, format_percent, format_share, one_line
from tina_lite.health import HEALTHY
from tina_lite.runs.events import Evaluated

VALUES_CELLS = 20
STEPS_KNOWN = 3
"""Before their pace is set beside the planned one."""
WARN = "yellow"


@dataclass(frozen=True, slots=True)
class Curve:
    """A metric that is shown over the steps."""

    label: str
    metric: str
    style: str
    show: Callable[[float], str] = format_number
    vital: bool = True
    """Whether it stays a curve, and may be a tall one, in a small window."""


def draw_learning(state: RunState, width: int, height: int) -> list[Row]:
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
    return framed([*lines, *facts], width, height, "learning", f"{hidden} more in a taller window" if hidden else "")


def curves_of(state: RunState) -> list[Curve]:
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


def curve_lines(state: RunState, curve: Curve, width: int, rows: int) -> list[Text]:
    """Label, chart, first and latest value."""
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


def figures_line(state: RunState, curves: Sequence[Curve]) -> Text:
    """The latest values in one line."""
    line = Text()
    for curve in curves:
        value = state.latest(curve.metric)
        if value is not None:
            line.append(f"{curve.label} ", DIM).append_text(_figure(curve, value)).append("  ")
    return line


def facts_lines(state: RunState) -> list[Text]:
    benchmarks = list(dict.fromkeys(result.benchmark for result in state.evals))
    return [speed_line(state), *(eval_line(state, name, named=len(benchmarks) > 1) for name in benchmarks)]


def speed_line(state: RunState) -> Text:
    speed, memory, pace = state.latest("tokens_per_second"), state.latest("peak_bytes"), state.pace()
    parts = [
        f"{speed:,.0f} tok/s" if speed is not None else "",
        f"{pace:.1f} s/step{_planned(state)}" if pace is not None else "",
        f"{memory / 2**30:.2f} GiB peak" if memory is not None else "",
    ]
    return labelled("speed", Text(" · ".join(part for part in parts if part) or "-"))


def _planned(state: RunState) -> str:
    """Beside a pace that is known."""
    planned = state.started.planned_step_s if state.started else None
    return f", planned {planned:.1f}" if planned is not None and len(state.marks_s) > STEPS_KNOWN else ""


def eval_line(state: RunState, benchmark: str, named: bool) -> Text:
    """The first result and the latest; the benchmark's name where there are several."""
    results = [result for result in state.evals if result.benchmark == benchmark]
    line = labelled("Pass@1", _result(results[0]))
    if len(results) > 1:
        line.append(" → ", DIM).append_text(_result(results[-1]))
    return line.append(f"  {one_line(benchmark)}", DIM) if named else line


def _result(result: Evaluated) -> Text:
    return Text.assemble((format_share(result.pass_at_1), "bold green"), (interval(result.ci95), DIM))
