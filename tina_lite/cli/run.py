"""The commands tina-lite run RECIPE, and tina-lite resume RUN."""

import sys
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tina_lite.cli.arguments import NUMBER, limits_in, named, recipe_from_options, recipe_options
from tina_lite.util.errors import TinaError

if TYPE_CHECKING:
    from tina_lite.recipe import Recipe


class _RunCommand(click.Command):
    """`--resume` takes a word or none, and none where a recipe follows it, which click cannot say."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        words: list[str] = []
        for word in args:
            if word == "auto" and words[-1:] == ["--resume"]:
                word = words.pop() + "=auto"
            words.append("--resume-auto" if word == "--resume=auto" else word)
        return super().parse_args(ctx, words)


@click.command(cls=_RunCommand)
@recipe_options
@click.option("--max-tokens", type=int, metavar="N", help="Stop after N tokens of prompts and completions.")
@click.option("--until", metavar="HH:MM|90m", help="Stop by a time of day, or after a duration.")
@click.option("--stop-when", metavar="CONDITION", help="Stop once a metric says so, such as 'reward>=0.9'.")
@click.option("--patience", type=int, metavar="N", help="Steps in a row that --stop-when must hold; default 3.")
@click.option("--seed", type=int, metavar="N", help="Override seed.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Run folder; default runs/NAME.")
@click.option(
    "--resume",
    is_flag=True,
    help="Go on with the run in --out, or with the newest of this name; `--resume auto` starts it where there is none.",
)
@click.option("--resume-auto", is_flag=True, hidden=True)
@click.option("--force-recipe", is_flag=True, help="With --resume: go on though the recipe file has other limits.")
@click.option("--force-restart", is_flag=True, help="With --resume: begin again where every checkpoint is damaged.")
@click.option("--plain", is_flag=True, help="Plain lines instead of the live view.")
@click.option("--json", "as_json", is_flag=True, help="One JSON event a line on stdout, and nothing else.")
@click.option("--dry-run", is_flag=True, help="Check everything, show the first prompt, spend nothing.")
def run(
    recipe: Path,
    settings: tuple[str, ...],
    model: str | None,
    rate: str | None,
    seed: int | None,
    out: Path | None,
    resume: bool,
    resume_auto: bool,
    force_recipe: bool,
    force_restart: bool,
    plain: bool,
    as_json: bool,
    dry_run: bool,
    **bounds: Any,
) -> None:
    """Train as RECIPE says, a file or the name of a shipped recipe, inside its budget."""
    limits = limits_in(bounds)
    loaded = recipe_from_options(recipe, settings, {"model.id": model, "seed": seed, **limits})
    if dry_run:
        _show_plan(loaded, out, rate)
        return
    found = _begun(loaded, out, resume, resume_auto)
    if found is not None:
        go_on(loaded, found, rate, plain, as_json, limits, force_recipe=force_recipe, force_restart=force_restart)
    else:
        _train(loaded, out, rate, plain, as_json)


def _begun(recipe: "Recipe", out: Path | None, resume: bool, resume_auto: bool) -> Path | None:
    """The run to go on with; None where one is to be started."""
    from tina_lite.runs.folder import RUNS, failed_at_once, folders_named, newest_folder

    if resume:
        return out or newest_folder(RUNS, recipe.name)
    found = [out] if out else folders_named(RUNS, recipe.name)[:1]
    begun = [path for path in found if (path / "recipe.yaml").exists() and not failed_at_once(path)]
    return begun[0] if resume_auto and begun else None


def go_on(
    recipe: "Recipe", out: Path, rate: str | None, plain: bool, as_json: bool, asked: Collection[str], **forced: bool
) -> None:
    """Resume the run in `out`, or say that there is nothing left to do."""
    from tina_lite.console.text import clean
    from tina_lite.launch.resume import finished, recipe_of

    recipe_of(out)
    summary = finished(out, recipe)
    if summary is None:
        _train(recipe, out, rate, plain, as_json, resume=True, asked=asked, **forced)
        return
    reason = clean(str(summary["stop_reason"])).replace("_", " ")
    print(f"{out}: has ended ({reason}); there is nothing left to do", file=sys.stderr)
    if not as_json:
        print(f"{out}/summary.json")


def _train(recipe: "Recipe", out: Path | None, rate: str | None, plain: bool, as_json: bool, **resuming: Any) -> None:
    from tina_lite.cli.process import leave, tell
    from tina_lite.console import choose
    from tina_lite.launch import train
    from tina_lite.launch.check import check

    # Refused here, the screen stays as it was.
    checked = check(recipe, out=out, rate=rate, **resuming)
    try:
        with choose(plain=plain, json=as_json) as console:
            summary = train(checked, [console])
    except TinaError as error:
        print(error, file=sys.stderr)
        leave(error.exit_code)
    except (Exception, SystemExit) as error:
        leave(tell(error))
    if not as_json:
        print(f"{summary['folder']}/summary.json")


def _show_plan(recipe: "Recipe", out: Path | None, rate: str | None) -> None:
    from tina_lite.budget import guard
    from tina_lite.launch.preview import dry_run

    guard.stand_down()
    for line in dry_run(recipe, out=out, rate=rate):
        print(line, file=sys.stdout)


@click.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="FIELD=VALUE",
    help="A file's new place, as data.source=FILE, or another limit, which needs --force-recipe.",
)
@click.option("--max-usd", "--max-cost", type=NUMBER, metavar="X", help="Another budget.")
@click.option("--max-hours", type=NUMBER, metavar="H", help="Another number of hours.")
@click.option("--max-steps", type=int, metavar="N", help="Another number of steps.")
@click.option("--max-tokens", type=int, metavar="N", help="Another number of tokens.")
@click.option("--until", metavar="HH:MM|90m", help="Another time of day, or a duration from now.")
@click.option("--stop-when", metavar="CONDITION", help="Another condition, such as 'reward>=0.9'.")
@click.option("--force-recipe", is_flag=True, help="Go on with another budget, other stop rules or checkpoints.")
@click.option("--force-restart", is_flag=True, help="Begin again at step 0 where every checkpoint is damaged.")
@click.option("--rate", metavar="X", help="What an hour costs, in US dollars.")
@click.option("--plain", is_flag=True, help="Plain lines instead of the live view.")
@click.option("--json", "as_json", is_flag=True, help="One JSON event a line on stdout, and nothing else.")
def resume(
    folder: Path,
    settings: tuple[str, ...],
    force_recipe: bool,
    force_restart: bool,
    rate: str | None,
    plain: bool,
    as_json: bool,
    **bounds: Any,
) -> None:
    """Go on with RUN, a run folder, from its newest whole checkpoint: same recipe, same bill, same random numbers."""
    from tina_lite.launch.resume import recipe_of

    limits, folder = limits_in(bounds), Path(named(str(folder)))
    recipe = recipe_from_options(recipe_of(folder), settings, limits)
    go_on(recipe, folder, rate, plain, as_json, limits, force_recipe=force_recipe, force_restart=force_restart)
