"""What several commands ask for in the same words."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

Command = Callable[..., Any]

_OF_A_RECIPE = (
    click.argument("recipe", type=click.Path(path_type=Path)),
    click.option("--set", "settings", multiple=True, metavar="FIELD=VALUE", help="Override a field of the recipe."),
    click.option("--model", metavar="ID|FOLDER", help="Override model.id."),
    click.option("--max-usd", "--max-cost", type=float, metavar="X", help="Spend at most X US dollars."),
    click.option("--rate", metavar="X", help="What an hour costs, in US dollars."),
    click.option("--max-hours", type=float, metavar="H", help="Stop after H hours."),
    click.option("--max-steps", type=int, metavar="N", help="Stop after N steps."),
)


def recipe_options(command: Command) -> Command:
    """A recipe, and what commands that plan or train by it let a person override."""
    for option in reversed(_OF_A_RECIPE):
        command = option(command)
    return command
