"""tina-lite plan RECIPE"""

import json
from pathlib import Path
from typing import Any

import click

from tina_lite.cli.folders import named
from tina_lite.cli.load import load_recipe
from tina_lite.cli.options import NUMBER, limits_in, recipe_options


@click.command()
@recipe_options
@click.option("--gpu", metavar="NAME", help="Plan for this card instead of this machine.")
@click.option("--vram", type=NUMBER, metavar="GIB", help="Plan for a card of so much memory.")
@click.option(
    "--run",
    "--like",
    "folder",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="A run that corrects the forecast.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def plan(
    recipe: Path,
    settings: tuple[str, ...],
    model: str | None,
    rate: str | None,
    gpu: str | None,
    vram: float | None,
    folder: Path | None,
    as_json: bool,
    **bounds: Any,
) -> None:
    """What RECIPE will need: memory by part, seconds a step, hours, dollars. Loads no model.

    The forecast is corrected by what a run has shown: the one that --run names, else the newest of the recipe's name
    in runs/.
    """
    from tina_lite.launch.prepare import RUNS
    from tina_lite.launch.preview import plan_run
    from tina_lite.plan import newest_measured, plan_lines, plan_record, read_measured

    loaded = load_recipe(recipe, settings, {"model.id": model, **limits_in(bounds)})
    measured = read_measured(Path(named(str(folder)))) if folder else newest_measured(RUNS, loaded.name)
    planned = plan_run(loaded, rate=rate, gpu=gpu, vram_gib=vram, measured=measured)
    if as_json:
        click.echo(json.dumps(plan_record(planned)))
        return
    for line in plan_lines(planned):
        click.echo(line)
