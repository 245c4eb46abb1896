"""tina-lite run RECIPE"""

import sys
from pathlib import Path
from typing import Any

import click


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("--set", "settings", multiple=True, metavar="FIELD=VALUE", help="Override a field of the recipe.")
@click.option("--model", metavar="ID|FOLDER", help="Override model.id.")
@click.option("--max-usd", "--max-cost", type=float, metavar="X", help="Spend at most X US dollars.")
@click.option("--rate", metavar="X", help="What an hour costs, in US dollars.")
@click.option("--max-hours", type=float, metavar="H", help="Stop after H hours.")
@click.option("--max-steps", type=int, metavar="N", help="Stop after N steps.")
@click.option("--seed", type=int, metavar="N", help="Override seed.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Run folder; default runs/NAME.")
@click.option("--resume", is_flag=True, help="Go on with the run in --out, or with the newest of this name.")
@click.option("--plain", is_flag=True, help="Plain lines instead of the live view.")
@click.option("--json", "as_json", is_flag=True, help="One JSON event a line on stdout, and nothing else.")
@click.option("--dry-run", is_flag=True, help="Check everything, show the first prompt, spend nothing.")
def run(
    recipe: Path,
    settings: tuple[str, ...],
    model: str | None,
    max_usd: float | None,
    rate: str | None,
    max_hours: float | None,
    max_steps: int | None,
    seed: int | None,
    out: Path | None,
    resume: bool,
    plain: bool,
    as_json: bool,
    dry_run: bool,
) -> None:
    """Train as RECIPE says, a file or the name of a shipped recipe, inside its budget."""
    from tina_lite.recipe import Recipe, parse_override
    from tina_lite.shipped import find_recipe

    overrides: dict[str, Any] = dict(parse_override(text) for text in settings)
    flags = {
        "model.id": model,
        "budget.max_usd": max_usd,
        "stop.max_hours": max_hours,
        "stop.max_steps": max_steps,
        "seed": seed,
    }
    overrides |= {field: value for field, value in flags.items() if value is not None}
    loaded = Recipe.load(find_recipe(recipe), overrides)
    if dry_run:
        _show_plan(loaded, out, rate)
        return
    if resume and out is None:
        from tina_lite.launch import RUNS
        from tina_lite.runs.folder import newest_folder

        out = newest_folder(RUNS, loaded.name)
    _train(loaded, out, rate, resume, plain, as_json)


def _train(recipe: Any, out: Path | None, rate: str | None, resume: bool, plain: bool, as_json: bool) -> None:
    from tina_lite.console import choose
    from tina_lite.launch import prepare, train

    prepared = prepare(recipe, out=out, rate=rate, resume=resume)  # refused here, the screen stays as it was
    with choose(plain=plain, json=as_json) as console:
        summary = train(prepared, [console])
    if not as_json:
        print(f"{summary['folder']}/summary.json")


def _show_plan(recipe: Any, out: Path | None, rate: str | None) -> None:
    from tina_lite.launch import dry_run

    for line in dry_run(recipe, out=out, rate=rate):
        print(line, file=sys.stdout)
