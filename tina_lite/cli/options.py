"""What several commands ask for in the same words."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from tina_lite.as_typed import with_point

Command = Callable[..., Any]


class _Number(click.types.FloatParamType):
    """A number; one with a decimal comma is told how to write it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            self.fail(error.message.removesuffix(".") + with_point(value), param, ctx)


NUMBER = _Number()

_OF_A_RECIPE = (
    click.argument("recipe", type=click.Path(path_type=Path)),
    click.option("--set", "settings", multiple=True, metavar="FIELD=VALUE", help="Override a field of the recipe."),
    click.option("--model", metavar="ID|FOLDER", help="Override model.id."),
    click.option("--max-usd", "--max-cost", type=NUMBER, metavar="X", help="Spend at most X US dollars."),
    click.option("--rate", metavar="X", help="What an hour costs, in US dollars."),
    click.option("--max-hours", type=NUMBER, metavar="H", help="Stop after H hours."),
    click.option("--max-steps", type=int, metavar="N", help="Stop after N steps."),
)


LIMITS = {
    "max_usd": "budget.max_usd",
    "max_hours": "stop.max_hours",
    "max_steps": "stop.max_steps",
    "max_tokens": "stop.max_tokens",
    "until": "stop.until",
    "stop_when": "stop.when",
    "patience": "stop.patience",
}
"""Options that bound a run, by the recipe's field."""


def limits_in(given: Mapping[str, Any]) -> dict[str, Any]:
    """By field, the options of LIMITS that were given; `given` may hold no others."""
    return {LIMITS[option]: value for option, value in given.items() if value is not None}


def recipe_options(command: Command) -> Command:
    """A recipe, and what commands that plan or train by it let a person override."""
    for option in reversed(_OF_A_RECIPE):
        command = option(command)
    return command
