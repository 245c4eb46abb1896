"""The commands tina-lite runs [FOLDER], tina-lite watch RUN and tina-lite stop RUN."""

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tina_lite.cli.arguments import run_folder

if TYPE_CHECKING:
    from tina_lite.runs.listing import ListedRun


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def runs(folder: Path | None, as_json: bool) -> None:
    """Runs in FOLDER, default runs/: state, steps, dollars, best result; the newest first."""
    from tina_lite.runs.folder import RUNS
    from tina_lite.runs.listing import runs_in
    from tina_lite.util.errors import BadInput

    if folder is not None and not folder.is_dir():
        raise BadInput(f"{folder}: is no folder; name the one that holds the run folders")
    parent = RUNS if folder is None else folder
    found = runs_in(parent)
    if as_json:
        click.echo(json.dumps({"runs": [asdict(run) for run in found]}))
        return
    for line in table(found) if found else [f"no runs in {parent}/; tina-lite run RECIPE starts one"]:
        click.echo(line)
    if lost := besides():
        click.echo(lost)


def besides() -> str:
    """What went to sessions that left no run; empty where nothing did."""
    from tina_lite.budget.guard import unbilled
    from tina_lite.budget.money import format_usd
    from tina_lite.console.text import format_duration
    from tina_lite.runs.look import records

    lost = list(records(unbilled()))
    seconds, usd = (sum(float(one.get(field, 0.0)) for one in lost) for field in ("seconds", "usd"))
    return (
        f"besides, {format_usd(usd)} went in {format_duration(seconds)} to what left no run: {unbilled()}"
        if lost
        else ""
    )


def table(found: Sequence["ListedRun"]) -> list[str]:
    """A line a run, for people."""
    from tina_lite.budget.money import format_usd
    from tina_lite.console.text import one_line

    rows = [("run", "state", "steps", "dollars", "best")]
    for run in found:
        steps = f"{run.steps}" + (f" of {run.max_steps}" if run.max_steps else "")
        usd = "unreadable" if run.usd is None else format_usd(run.usd)
        rows.append((one_line(run.folder), state(run), steps, usd, best(run)))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return [
        f"{name:{widths[0]}}  {status:{widths[1]}}  {steps:>{widths[2]}}  {usd:>{widths[3]}}  {result}"
        for name, status, steps, usd, result in rows
    ]


def state(run: "ListedRun") -> str:
    """In words, with the reason where there is one."""
    from tina_lite.console.text import one_line

    if run.pid:
        return f"running ({run.pid})"
    return run.status + (f": {one_line(run.stop_reason.replace('_', ' '))}" if run.stop_reason else "")


def best(run: "ListedRun") -> str:
    """Write the best that a run has reached.

    >>> from tina_lite.runs.listing import Best, ListedRun
    >>> reached = Best("pass_at_1", 0.775, 80, "held_out")
    >>> best(ListedRun("runs/a", "a", "finished", None, None, 80, 80, 0.1, reached, 0.0))
    'held_out Pass@1 77.5% (step 80)'
    """
    from tina_lite.console.text import format_number, format_share, one_line

    if run.best is None:
        return "-"
    if run.best.measure == "reward":
        return f"reward {format_number(run.best.value)} (step {run.best.step})"
    return f"{one_line(str(run.best.benchmark))} Pass@1 {format_share(run.best.value)} (step {run.best.step})"


class Speed(click.ParamType[float]):
    """Reads a speed such as 50x, or 50."""

    name = "speed"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)x?", str(value).strip())
        if not match or not float(match[1]):
            self.fail(f"got {value!r}; needs how many times as fast, more than 0, such as 50x", param, ctx)
        return float(match[1])


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--replay", type=Speed(), metavar="50x", help="Tell the run again, so many times as fast as it was.")
@click.option("--plain", is_flag=True, help="Plain lines instead of the live view.")
def watch(run: Path, replay: float | None, plain: bool) -> None:
    """Show RUN, a run folder or the name of a run, from its files: on any terminal, during the run or after it."""
    from tina_lite.console import LiveConsole, choose
    from tina_lite.console.watch import Following, Replaying, watch_live, watch_plain

    folder = run_folder(run)
    seen = Following(folder) if replay is None else Replaying(folder, replay)
    if isinstance(choose(plain=plain, json=False), LiveConsole):
        watch_live(seen, sys.stderr, sys.stdin)
    else:
        watch_plain(seen, sys.stdout)


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
def stop(run: Path) -> None:
    """Ask RUN, a run folder or the name of a run, to end after the step that it is in: it saves and evaluates.

    The same as a file named STOP in its folder, made by anyone who can reach it.
    """
    from tina_lite.runs.folder import STOP
    from tina_lite.runs.look import owner_of
    from tina_lite.util.errors import BadInput

    folder = run_folder(run)
    owner = owner_of(folder)
    if owner is None:
        raise BadInput(f"{folder}: no process runs it, so there is nothing to stop; tina-lite runs shows its state")
    try:
        (folder / STOP).touch()
    except OSError as error:
        raise BadInput(f"{folder}: no file named {STOP} can be made there ({error.strerror})") from None
    who = f" (process {owner})" if owner else ""
    click.echo(f"{folder}{who} ends after its step, saves and evaluates; tina-lite resume {folder} goes on")
