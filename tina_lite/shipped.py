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
    """A file, or the name of a shipped recipe. BadInput with the nearest name where it is neither."""
    if os.path.exists(path.expanduser()):
        return path.expanduser()
    known = shipped_recipes()
    if str(path) in known:
        return known[str(path)]
    raise BadInput(f"{path}: no such recipe{nearest(path.with_suffix('').as_posix(), list(known))}")


def headline(path: Path) -> str:
    """The first comment line of a recipe."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return next((line.removeprefix("#").strip() for line in lines if line.startswith("#")), "")
