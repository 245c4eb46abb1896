"""What the words of a command line mean: runs, recipes, options that several commands share."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tina_lite.util.as_typed import with_point
from tina_lite.util.errors import BadInput

if TYPE_CHECKING:
    from tina_lite.recipe import Recipe


def named(word: str) -> str:
    """The folder of the newest run of that name, or of that recipe; any other word as it stands."""
    path = Path(word)
    if path.suffix in (".yaml", ".yml") and path.is_file():
        from tina_lite.recipe import load_recipe

        return _newest(load_recipe(path).name) or word
    return word if path.exists() or path != Path(path.name) else _newest(path.name) or word


def run_folder(word: Path) -> Path:
    """The same, where nothing but a run is meant. BadInput where there is none."""
    from tina_lite.runs.folder import RUNS

    run = Path(named(str(word)))
    if not _holds_a_run(run) and (run == Path(run.name) or not run.exists()):
        run = Path(_newest(run.name) or run)
    if _holds_a_run(run):
        return run
    if run.exists():
        raise BadInput(f"{run}: is no run folder (no events.jsonl there); tina-lite runs lists them")
    raise BadInput(f"{run}: no run folder, and no run of that name in {RUNS}/; tina-lite runs lists them")


def _newest(name: str) -> str:
    from tina_lite.runs.folder import RUNS, folders_named

    return str(next(iter(folders_named(RUNS, name)), ""))


def _holds_a_run(path: Path) -> bool:
    return (path / "events.jsonl").is_file() or (path / "ledger.jsonl").is_file()


def recipe_from_options(recipe: Path, settings: Iterable[str], flags: Mapping[str, Any]) -> "Recipe":
    """`settings` as --set gives them; `flags` by field, None where not given, win over them."""
    from tina_lite.recipe import load_recipe, parse_override
    from tina_lite.recipe.file import find_recipe

    overrides: dict[str, Any] = dict(parse_override(text) for text in settings)
    overrides |= {field: value for field, value in flags.items() if value is not None}
    return load_recipe(find_recipe(recipe), overrides)


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
