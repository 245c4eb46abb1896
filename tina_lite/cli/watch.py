"""tina-lite watch RUN"""

import re
import sys
from pathlib import Path

import click

from tina_lite.cli.folders import run_folder


class Speed(click.ParamType[float]):
    """50x, or 50."""

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
