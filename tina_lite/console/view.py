"""The live picture: which parts it has, and where they stand, for a state, a terminal's size and a time. Pure."""

from collections.abc import Iterator
from functools import partial
from pathlib import PurePath

from rich.box import ROUNDED
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from tina_lite.budget.money import format_price
from tina_lite.console.closing import closing_facts
from tina_lite.console.curves import draw_learning
from tina_lite.console.frame import DIM, FRAME_ROWS, Part, Picture, ends, plain
from tina_lite.console.reading import alarm_rows, draw_alarms, draw_notices, draw_sample
from tina_lite.console.run_box import draw_run_box, run_box
from tina_lite.console.state import RunState
from tina_lite.console.text import format_duration, one_line

WIDE = 110
TALL = 32
HEADER_ROWS = 2
SMALLEST_CELLS = 40
SMALLEST_ROWS = 12
LEAST_SAMPLE_ROWS = 5
ROWS_FOR_TWO_SAMPLES = 12


def draw(state: RunState, width: int, height: int, now: float) -> RenderableType:
    """The picture, `width` x `height` cells; `now` is the clock that `after` was given."""
    return Picture(list(parts(state, width, height, now)))


def parts(state: RunState, width: int, height: int, now: float, note: str = "") -> Iterator[Part]:
    """The parts that fill the screen, top to bottom; `note` stands before the time."""
    if width < SMALLEST_CELLS or height < SMALLEST_ROWS:
        yield _tiny(state, width, height, now)
        return
    yield _header(state, width, now, note)
    body, tall = height - HEADER_ROWS, height >= TALL
    run_rows = FRAME_ROWS + (5 if tall else 3)
    if width >= WIDE:
        column = (width + 1) // 2
        yield _run(state, column, run_rows, now)
        yield _learning(state, HEADER_ROWS + run_rows, column, body - run_rows)
        yield from _to_read(state, column, width - column, body, tall)
        return
    line_rows = 4 if tall else 2
    sample_rows = max(LEAST_SAMPLE_ROWS, (body - run_rows - line_rows) * 2 // 5)
    learning_rows = body - run_rows - line_rows - sample_rows
    yield _run(state, width, run_rows, now)
    yield _learning(state, HEADER_ROWS + run_rows, width, learning_rows)
    yield from _samples(state, height - line_rows - sample_rows, 0, width, sample_rows)
    yield _notices(state, height - line_rows, 0, width, line_rows, boxed=False)


def _to_read(state: RunState, column: int, width: int, body: int, tall: bool) -> Iterator[Part]:
    """The right half of a wide picture: what is amiss, samples, notices."""
    line_rows = FRAME_ROWS + (4 if tall else 2)
    health_rows = alarm_rows(state.alarms(), width, most=(body - line_rows) // 2)
    row = HEADER_ROWS
    if health_rows:
        draw = partial(draw_alarms, state.alarms(), width, health_rows)
        yield Part(row, column, width, health_rows, (state.alarms(),), draw)
    yield from _samples(state, row + health_rows, column, width, body - health_rows - line_rows)
    yield _notices(state, row + body - line_rows, column, width, line_rows, boxed=True)


def _header(state: RunState, width: int, now: float, note: str) -> Part:
    """Recipe, model, engine, card, rate; how long it has been going."""
    started = state.started
    if started is None:
        lines = [Text.assemble((" tina-lite", "bold"), (f"  {note}", DIM))]
    else:
        name = Text.assemble(("tina-lite", DIM), " ", (one_line(started.name), "bold cyan"))
        folder = PurePath(started.folder).name
        if folder != started.name:
            name.append(f" in {one_line(folder)}", DIM)
        if started.resumed_from_step:
            name.append(f"  resumed after step {started.resumed_from_step}", DIM)
        model = one_line(started.model.rstrip("/").rsplit("/", 1)[-1])
        machine = Text.assemble(model, (" · ", DIM), one_line(started.engine), (" on ", DIM), one_line(started.device))
        price = Text.assemble(
            (f"{format_price(started.rate)}/h", "yellow"), (f" ({one_line(started.rate_source)})", DIM)
        )
        watched = f"{note} · " if note else ""
        clock = Text.assemble(
            (watched, DIM), (format_duration(state.elapsed_at(now)), "bold"), (f" · seed {started.seed}", DIM)
        )
        lines = [Text(" ") + ends(left, right, width - 2) for left, right in ((name, clock), (machine, price))]
    key = tuple(line.plain for line in lines)
    return Part(0, 0, width, HEADER_ROWS, key, partial(plain, lines, width, HEADER_ROWS))


def _run(state: RunState, width: int, height: int, now: float) -> Part:
    box = run_box(state, now, width)
    return Part(HEADER_ROWS, 0, width, height, (box,), partial(draw_run_box, box, width, height))


def _learning(state: RunState, row: int, width: int, height: int) -> Part:
    height = max(0, height)
    key = (state.history, state.evals)
    return Part(row, 0, width, height, key, partial(draw_learning, state, width, height))


def _samples(state: RunState, row: int, column: int, width: int, height: int) -> Iterator[Part]:
    """The best so far above a typical one of the latest step; where only one fits, the one that tells more."""
    best, typical = state.best, state.typical
    kinds = [("the best so far", best), ("a typical one", typical)]
    if height < ROWS_FOR_TWO_SAMPLES or best is None or typical is None:
        flat = any(alarm.name == "reward_zero" for alarm in state.alarms())
        kinds = [kinds[1] if flat and typical is not None else ("a completion", best) if best is None else kinds[0]]
    for index, (kind, shown) in enumerate(kinds):
        rows = height // len(kinds) + (height % len(kinds) if index == 0 else 0)
        yield Part(row, column, width, rows, (kind, shown), partial(draw_sample, shown, kind, width, rows))
        row += rows


def _notices(state: RunState, row: int, column: int, width: int, height: int, boxed: bool) -> Part:
    key = (state.lines, () if boxed else state.alarms())
    draw = partial(draw_notices, state.lines, state.alarms(), width, height, boxed)
    return Part(row, column, width, height, key, draw)


def _tiny(state: RunState, width: int, height: int, now: float) -> Part:
    """For a window in which nothing else fits."""
    box = run_box(state, now, width)
    lines = [Text(f"{line.label} {line.words}") for line in box.lines] + [Text(box.left)]
    return Part(0, 0, width, height, (box,), partial(plain, lines, width, height))


def draw_closing(state: RunState, width: int) -> RenderableType:
    """The few lines that stay on the screen when the run has ended."""
    facts = [(label, value.replace("->", "→")) for label, value in closing_facts(state)]
    title = Text.assemble((one_line(state.started.name) if state.started else "the run", "bold cyan"), " has ended")
    if width < SMALLEST_CELLS:
        return Text("\n").join([title, *(Text.assemble((f"{label}: ", DIM), value) for label, value in facts)])
    table = Table(title=title, title_justify="left", box=ROUNDED, show_header=False, border_style=DIM)
    table.add_column(style=DIM, no_wrap=True)
    table.add_column(overflow="fold")
    for label, value in facts:
        table.add_row(label, Text(value, "bold" if label in ("held-out Pass@1", "dollars") else ""))
    return table
