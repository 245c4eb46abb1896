"""What a run's numbers depend on beside its recipe: a resumed run on something else is not the same run."""

import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tina_lite.recipe.schema import Recipe
from tina_lite.util.disk import digest_of
from tina_lite.util.errors import BadInput

NOT_KEPT = (
    "the checkpoint is of an earlier version, which kept no digests: whether recipe, base and data are still the same "
    "is not known"
)
OURS = "tina_lite."
"""Modules whose code is that of a version, which the checkpoint knows."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Is kept in every checkpoint."""

    problems: int = 0
    """Of the training set."""
    train: str = ""
    """Digest of the training set, all columns."""
    benchmarks: dict[str, str] = field(default_factory=dict)
    """The same of each benchmark."""
    base: dict[str, str] = field(default_factory=dict)
    """The same of the files of a model in a folder, by name."""
    code: dict[str, str] = field(default_factory=dict)
    """By name of a reward of one's own, the digest of its file."""
    device: str = ""
    recipe: dict[str, Any] = field(default_factory=dict)
    """As it ran, but for what changes no number; empty in a checkpoint of a version that kept none of all this."""

    def changes_since(self, kept: "Identity") -> list[str]:
        """What a person should know; BadInput where recipe, base or data are others: it would be another run."""
        if not kept.recipe:
            return [NOT_KEPT]
        if fields := [said for _, said in differences("", _as_of_now(kept.recipe), self.recipe)]:
            raise BadInput(
                f"the recipe has changed since the checkpoint: {'; '.join(fields)}; put it back, or start another run "
                "with --out"
            )
        if files := [name for name, _ in differences("", kept.base, self.base)]:
            raise BadInput(
                f"model.id: {', '.join(files)} of the model's folder changed since the checkpoint; restore the model, "
                "or start another run with --out"
            )
        if kept.train != self.train:
            how = f"{kept.problems} problems then, {self.problems} now"
            if kept.problems == self.problems:
                how = f"{self.problems} problems, but not the same"
            raise BadInput(
                f"data.source: the data have changed since the checkpoint ({how}); restore them, or start another "
                "run with --out"
            )
        if others := [name for name, _ in differences("", kept.benchmarks, self.benchmarks)]:
            raise BadInput(
                f"eval.benchmarks: the problems of {', '.join(others)} have changed since the checkpoint, and its "
                "figures would be compared with those of others; restore them, or start another run with --out"
            )
        changed = [name for name, _ in differences("", kept.code, self.code)]
        said = [f"the code of reward {name} has changed since the checkpoint: it may give others" for name in changed]
        if kept.device != self.device:
            said.append(
                f"the checkpoint was made on {kept.device}, this is {self.device}: numbers will round otherwise"
            )
        return said


def _as_of_now(recipe: dict[str, Any]) -> dict[str, Any]:
    """With the fields that it had not when it was kept, at their defaults."""
    try:
        now = Recipe.model_validate(recipe).model_dump(mode="json")
    except ValidationError:
        return recipe
    now["model"].pop("engine")
    return {name: now[name] for name in recipe}


def differences(place: str, old: Any, new: Any) -> Iterator[tuple[str, str]]:
    """Dotted fields that differ, each with how.

    >>> list(differences("", {"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 1, "c": 4}, "d": 3}))
    [('a.c', 'a.c 2 -> 4')]
    """
    if isinstance(old, dict) and isinstance(new, dict):
        for name in dict.fromkeys((*old, *new)):
            yield from differences(f"{place}.{name}" if place else name, old.get(name), new.get(name))
    elif old != new:
        yield place, f"{place} {_short(old)} -> {_short(new)}"


def _short(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 40 else text[:37] + "..."


def code_digests(functions: Iterable[tuple[str, Callable[..., object]]]) -> dict[str, str]:
    """Of the files that hold functions of one's own, by the rewards' names; none for what was typed at a prompt."""
    found = {}
    for name, function in functions:
        if function.__module__.startswith(OURS):
            continue
        try:
            file = inspect.getsourcefile(function)
            found[name] = digest_of(Path(file or ""))
        except (OSError, TypeError):
            continue
    return found
