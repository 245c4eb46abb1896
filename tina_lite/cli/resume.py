"""tina-lite resume RUN"""

from pathlib import Path
from typing import Any

import click

from tina_lite.cli.folders import named
from tina_lite.cli.load import load_recipe
from tina_lite.cli.options import NUMBER, limits_in
from tina_lite.cli.run import go_on


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
    from tina_lite.launch.resuming import recipe_of

    limits, folder = limits_in(bounds), Path(named(str(folder)))
    recipe = load_recipe(recipe_of(folder), settings, limits)
    go_on(recipe, folder, rate, plain, as_json, limits, force_recipe=force_recipe, force_restart=force_restart)
