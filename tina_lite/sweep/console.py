"""What a person sees of a sweep while it goes on: the bill as a bar, a row for each trial; lines in a log."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tina_lite.budget.money import format_usd
from tina_lite.console import PlainConsole, choose
from tina_lite.console.text import bar
from tina_lite.sweep.driver import ENDED, Course, Driver
from tina_lite.sweep.table import Row, figure_of, row_of

COLOURS = {"running": "cyan", "done": "green", "weak": "yellow", "failed": "red", "no money": "yellow"}
REWRITES_A_SECOND = 1.0


class SweepView(Protocol):
    """Shows how a sweep stands."""

    def show(self, driver: Driver) -> None:
        """Called at every turn of the driver."""
        ...


class PlainView:
    """A line on stderr for each trial whose state has changed."""

    def __init__(self) -> None:
        self._said: dict[int, str] = {}

    def show(self, driver: Driver) -> None:
        for course in driver.courses:
            trial, words = course.trial, f"{course.state}: {course.why}" if course.why else course.state
            if self._said.get(trial.number, "waiting") != words:
                self._said[trial.number] = words
                spent = f"{format_usd(driver.usd)} of {format_usd(driver.max_usd)}"
                print(f"{spent}  trial {trial.number}  {trial.label}  seed={trial.seed}: {words}", file=sys.stderr)


class LiveView:
    """The bill's bar above, trials below: those that run first, then those that ended last; how many more there are."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.live = Live(console=console, auto_refresh=False, transient=True)
        self._drawn_at = -1.0
        self._ended: dict[int, Row] = {}
        """Rows of trials that will not change, so that their files are read once."""

    def show(self, driver: Driver) -> None:
        now = self._console.get_time()
        if now - self._drawn_at >= 1 / REWRITES_A_SECOND:
            self._drawn_at = now
            self.live.update(self.drawn(driver), refresh=True)

    def drawn(self, driver: Driver) -> RenderableType:
        """The whole picture, as high as the terminal at most."""
        counts = {state: sum(one.state == state for one in driver.courses) for state in ("waiting", "running", "done")}
        head = Text(f"{format_usd(driver.usd)} of {format_usd(driver.max_usd)}  ", "bold")
        head.append(", ".join(f"{count} {state}" for state, count in counts.items()), "dim")
        spent = bar(self._console.width, (driver.usd / driver.max_usd, "green"))
        table = Table(box=None, pad_edge=False, header_style="dim")
        for heading in ("trial", "setting", "seed", "state", "steps", "dollars", "reward", "held out"):
            table.add_column(heading, no_wrap=True, overflow="ellipsis")
        room = max(1, self._console.height - 5)
        shown = sorted(driver.courses, key=_interest)[:room]
        for course in sorted(shown, key=lambda one: one.trial.number):
            table.add_row(*self._cells(course))
        more = len(driver.courses) - len(shown)
        below = Text(f"and {more} more; Ctrl-C saves" if more else "Ctrl-C saves", "dim")
        return Group(head, spent, table, below)

    def _cells(self, course: Course) -> list[str | Text]:
        number = course.trial.number
        row = self._ended.get(number) or row_of(course)
        if course.state in ENDED and course.node is None:
            self._ended[number] = row
        state = Text(course.state, COLOURS.get(course.state, "dim"))
        held_out = figure_of(row["pass_at_1"], "pass_at_1")
        figures = [figure_of(row["reward"], "reward"), held_out]
        usd = format_usd(row["usd"])
        return [str(number), course.trial.label, str(course.trial.seed), state, str(row["steps"]), usd, *figures]


def _interest(course: Course) -> tuple[int, int]:
    """What runs comes first, then what has ended, the last first, then what waits."""
    order = {"running": 0, "waiting": 2}.get(course.state, 1)
    return order, course.trial.number if order != 1 else -course.trial.number


@contextmanager
def view() -> Iterator[SweepView]:
    """The view that this process's terminal can show."""
    if isinstance(choose(plain=False, json=False), PlainConsole):
        yield PlainView()
        return
    shown = LiveView(Console(stderr=True))
    with shown.live:
        yield shown
