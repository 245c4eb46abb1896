"""tina-lite runs [FOLDER]"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from tina_lite.runs.listing import ListedRun


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def runs(folder: Path | None, as_json: bool) -> None:
    """Runs in FOLDER, default runs/: state, steps, dollars, best result; the newest first."""
    from tina_lite.errors import BadInput
    from tina_lite.launch.prepare import RUNS
    from tina_lite.runs.listing import runs_in

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
    from tina_lite.budget.money import format_usd
    from tina_lite.console.text import format_duration
    from tina_lite.guard import unbilled
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
    """
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
