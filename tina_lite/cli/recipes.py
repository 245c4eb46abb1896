"""tina-lite recipes [show NAME | copy NAME]"""

import shutil
from pathlib import Path

import click

from tina_lite.errors import BadInput


@click.group(invoke_without_command=True)
@click.pass_context
def recipes(ctx: click.Context) -> None:
    """List the recipes that ship with the package; show one, or copy one to edit."""
    from tina_lite.shipped import headline, shipped_recipes

    if ctx.invoked_subcommand is None:
        for name, path in shipped_recipes().items():
            click.echo(f"{name:16} {headline(path)}")


@recipes.command()
@click.argument("name")
def show(name: str) -> None:
    """Print a recipe."""
    from tina_lite.shipped import find_recipe

    click.echo(find_recipe(Path(name)).read_text(encoding="utf-8"), nl=False)


@recipes.command()
@click.argument("name")
@click.argument("target", type=click.Path(path_type=Path), required=False)
def copy(name: str, target: Path | None) -> None:
    """Copy a recipe to TARGET, default ./NAME.yaml."""
    from tina_lite.shipped import find_recipe

    source = find_recipe(Path(name))
    target = target or Path(source.name)
    if target.exists():
        raise BadInput(f"{target}: exists already; name another file")
    shutil.copyfile(source, target)
    click.echo(target)
