"""Before a run is gone on with: is it the same run, and is there anything left to do?"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tina_lite.errors import BadInput
from tina_lite.recipe import Recipe

LIMITS = ("budget", "stop", "checkpoint", "track")
"""Sections that change when a run ends and what is kept of it, and not a number that it computes before."""
UNFINISHED = ("interrupted", "stop_file", "until", "error", "no_room", "bad_input")
"""Reasons for which a run stops and that a resumed one leaves behind."""


def recipe_of(path: Path) -> Path:
    """The recipe of a run; BadInput where the folder holds no run."""
    kept = path / "recipe.yaml"
    if not kept.is_file():
        raise BadInput(f"{path}: holds no run to resume; start one without --resume")
    return kept


def refuse_changed_recipe(path: Path, recipe: Recipe, force: bool) -> None:
    """A resumed run is the same run. BadInput that shows what differs; `force` lets its limits be others."""
    kept = recipe_of(path)
    changes = list(_differences("", _compared(Recipe.load(kept)), _compared(recipe.with_local_paths())))
    fixed = [change for field, change in changes if field.partition(".")[0] not in LIMITS]
    if fixed:
        raise BadInput(
            f"{path}: the recipe has changed: {'; '.join(fixed)}; resume with {kept}, or choose another --out"
        )
    if changes and not force:
        said = "; ".join(change for _, change in changes)
        raise BadInput(f"{path}: the recipe has changed: {said}; add --force-recipe to go on with other limits")


def finished(path: Path, recipe: Recipe) -> dict[str, Any] | None:
    """The summary of a run that has ended for good, and that this recipe would not take further."""
    try:
        summary: dict[str, Any] = json.loads((path / "summary.json").read_text())
        ended = summary["stop_reason"] not in UNFINISHED
        same = _compared(Recipe.load(path / "recipe.yaml")) == _compared(recipe.with_local_paths())
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return summary if ended and same else None


def _compared(recipe: Recipe) -> dict[str, Any]:
    """All but the engine: either computes the same."""
    return recipe.model_dump(exclude={"model": {"engine"}})


def _differences(place: str, old: Any, new: Any) -> Iterator[tuple[str, str]]:
    """Dotted fields that differ, each with how.

    >>> list(_differences("", {"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 1, "c": 4}, "d": 3}))
    [('a.c', 'a.c 2 -> 4')]
    """
    if isinstance(old, dict) and isinstance(new, dict):
        for name in dict.fromkeys((*old, *new)):
            yield from _differences(f"{place}.{name}" if place else name, old.get(name), new.get(name))
    elif old != new:
        yield place, f"{place} {_short(old)} -> {_short(new)}"


def _short(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 40 else text[:37] + "..."
