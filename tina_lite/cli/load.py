"""A recipe as a command line asks for it: a file or a shipped name, with fields overridden."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tina_lite.recipe import Recipe


def load_recipe(recipe: Path, settings: Iterable[str], flags: Mapping[str, Any]) -> "Recipe":
    """`settings` as --set gives them; `flags` by field, None where not given, win over them."""
    from tina_lite.recipe import Recipe, parse_override
    from tina_lite.shipped import find_recipe

    overrides: dict[str, Any] = dict(parse_override(text) for text in settings)
    overrides |= {field: value for field, value in flags.items() if value is not None}
    return Recipe.load(find_recipe(recipe), overrides)
