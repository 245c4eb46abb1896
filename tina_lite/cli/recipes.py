"""The command tina-lite recipes [show NAME | copy NAME | import FILE]."""

import re
import shutil
import textwrap
from itertools import groupby
from pathlib import Path

import click

from tina_lite.budget.money import format_usd
from tina_lite.util.disk import write_atomically
from tina_lite.util.errors import BadInput

WIDEST = 120


@click.group(invoke_without_command=True)
@click.pass_context
def recipes(ctx: click.Context) -> None:
    """List the recipes that ship with the package; show one, or copy one to edit."""
    from tina_lite.recipe import load_recipe
    from tina_lite.recipe.file import headline, shipped_recipes

    if ctx.invoked_subcommand is not None:
        return
    known = shipped_recipes()
    indent = " " * (max(map(len, known)) + 2)
    width = min(WIDEST, shutil.get_terminal_size().columns)
    for group, names in groupby(sorted(known, key=_by_group), key=lambda name: name.rpartition("/")[0]):
        if group:
            click.echo()
        for name in names:
            recipe = load_recipe(known[name])
            most = "no limit" if recipe.budget.max_usd is None else f"at most {format_usd(recipe.budget.max_usd)}"
            for text in (
                f"{name:{len(indent)}}{headline(known[name])}",
                f"{indent}{recipe.model.id}, {recipe.data.named}, {most}",
            ):
                click.echo(textwrap.fill(text, width, subsequent_indent=indent, break_on_hyphens=False))


def _by_group(name: str) -> tuple[str, list[tuple[str, int]]]:
    """Those without a group first; numbers in a name by their value, so that 8gb stands before 12gb.

    >>> sorted(["cards/12gb", "cards/8gb", "quickstart"], key=_by_group)
    ['quickstart', 'cards/8gb', 'cards/12gb']
    """
    group, _, last = name.rpartition("/")
    return group, [(word, int(digits or 0)) for word, digits in re.findall(r"(\D*)(\d*)", last)]


@recipes.command()
@click.argument("name")
def show(name: str) -> None:
    """Print a recipe."""
    from tina_lite.recipe.file import find_recipe

    click.echo(find_recipe(Path(name)).read_text(encoding="utf-8"), nl=False)


@recipes.command()
@click.argument("name")
@click.argument("target", type=click.Path(path_type=Path), required=False)
def copy(name: str, target: Path | None) -> None:
    """Copy a recipe to TARGET, default ./NAME.yaml; runs of the copy have its name."""
    from tina_lite.recipe.file import find_recipe

    source = find_recipe(Path(name))
    target = target or Path(source.name)
    _make_room(target)
    text = source.read_text(encoding="utf-8")
    name = re.sub(r"[^\w.-]", "-", target.stem)  # that of its runs
    write_atomically(target, re.sub(r"^name:.*$", f"name: {name}", text, count=1, flags=re.MULTILINE))
    click.echo(target)


@recipes.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("target", type=click.Path(path_type=Path), required=False)
@click.option("--gpus", type=click.IntRange(min=1), metavar="N", help="Processes that it ran on; default: the file's.")
def import_recipe(file: Path, target: Path | None, gpus: int | None) -> None:
    """Write a TRL, open-r1, Tina or Axolotl GRPO configuration as a recipe, TARGET or ./NAME.yaml."""
    from tina_lite.recipe.convert import convert_config

    text, lost = convert_config(file, gpus)
    target = target or Path(f"{file.stem}-recipe.yaml")
    _make_room(target)
    write_atomically(target, text)
    for line in lost:
        click.echo(f"not carried over: {line}", err=True)
    click.echo(target)


def _make_room(target: Path) -> None:
    if target.exists():
        raise BadInput(f"{target}: exists already; name another file")
    target.parent.mkdir(parents=True, exist_ok=True)
