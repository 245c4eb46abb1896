"""The recipes that ship with the package: in a wheel they lie inside it, in a checkout beside it."""

import os
from pathlib import Path

from tina_lite.errors import BadInput, nearest


def shipped_recipes() -> dict[str, Path]:
    """Recipes by name, such as "quickstart" or "paper/limr"."""
    package = Path(__file__).parent
    folder = next((f for f in (package / "recipes", package.parent / "recipes") if f.is_dir()), None)
    if folder is None:
        return {}
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in sorted(folder.rglob("*.yaml"))}


def find_recipe(path: Path) -> Path:
    """A file, or the name of a shipped recipe, which no folder hides. BadInput with the nearest where it is neither."""
    known, given = shipped_recipes(), path.expanduser()
    if str(path) in known and not os.path.isfile(given):
        return known[str(path)]
    if os.path.exists(given):
        return given
    raise BadInput(f"{path}: no such recipe{nearest(path.with_suffix('').as_posix(), list(known))}")


def headline(path: Path) -> str:
    """The first comment line of a recipe."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return next((line.removeprefix("#").strip() for line in lines if line.startswith("#")), "")
