"""The same run from any folder: files that a recipe names, by their absolute paths."""

import os
from collections.abc import Callable
from pathlib import Path

from tina_lite.recipe.schema import Recipe

Rename = Callable[[str], str]
A_FILE = "a file"


def renamed(recipe: Recipe, *, model: Rename, data: Rename, reward: Rename, benchmark: Rename) -> Recipe:
    """The same recipe with other words in the four places that may name a file, a folder or something on the hub."""
    parts = tuple(part.model_copy(update={"source": data(part.source)}) for part in recipe.data.mixture)
    sections = {
        "model": recipe.model.model_copy(update={"id": model(recipe.model.id)}),
        "data": recipe.data.model_copy(update={"source": data(recipe.data.source), "mixture": parts}),
        "rewards": tuple(one.model_copy(update={"name": reward(one.name)}) for one in recipe.rewards),
        "eval": recipe.eval.model_copy(update={"benchmarks": tuple(map(benchmark, recipe.eval.benchmarks))}),
    }
    return recipe.model_copy(update=sections)


def with_local_paths(recipe: Recipe, folders: tuple[Path, ...]) -> Recipe:
    """Looked for from the working directory, then from `folders`, where the recipe and what it extends stand."""
    places = Places((Path.cwd(), *folders))
    return renamed(
        recipe,
        model=lambda name: places.absolute(name, _holds_a_model),
        data=places.data,
        reward=lambda name: places.function(name) or name,
        benchmark=places.benchmark,
    )


def without_places(recipe: Recipe) -> Recipe:
    """A local recipe to be compared: what is in its files counts, and neither their places nor their names."""
    return at_other_places(recipe, lambda path: A_FILE)


def at_other_places(recipe: Recipe, other: Rename) -> Recipe:
    """A local recipe with `other` in the place of each absolute path, whatever stands around it: NAME=FILE, FILE:F."""

    def one(name: str) -> str:
        start = name.find("=/") + 1 if not name.startswith("/") else 0
        end = name.rfind(".py:") + 3 if ".py:" in name else len(name)
        return f"{name[:start]}{other(name[start:end])}{name[end:]}" if name.startswith("/", start) else name

    return renamed(recipe, model=one, data=one, reward=one, benchmark=one)


class Places:
    """Folders in which a name may be found, in order."""

    def __init__(self, folders: tuple[Path, ...]) -> None:
        self._folders = folders

    def absolute(self, name: str, is_meant: Callable[[Path], bool] = lambda path: False) -> str:
        """A path that is there; any other name as it stands.

        A bare word is taken for a path only where what is there `is_meant`.
        """
        if name.startswith("~"):
            return os.path.expanduser(name)
        for folder in self._folders:
            path = folder / name
            if name and os.path.exists(path) and ("/" in name or "." in name or is_meant(path)):
                return _named_as_given(path)
        return name

    def data(self, source: str) -> str:
        """Of a file, a folder, or a function in a file; any other as it stands."""
        return source if source == "arithmetic" else self.function(source) or self.absolute(source, os.path.exists)

    def benchmark(self, name: str) -> str:
        """Of a file, or of NAME=FILE; any other as it stands."""
        known, equals, path = name.partition("=")
        found = self.absolute(name)
        return f"{known}={self.absolute(path)}" if equals and found == name else found

    def function(self, name: str) -> str:
        """Of file.py:function; empty for anything else."""
        path, colon, function = name.rpartition(":")
        return f"{self.absolute(path)}:{function}" if colon and path.endswith(".py") else ""


def _holds_a_model(path: Path) -> bool:
    return (path / "config.json").is_file() or (path / "adapter_config.json").is_file()


def _named_as_given(path: Path) -> str:
    """Absolute, and a link by its own name: that of what it leads to may say nothing, as in the cache of the hub."""
    return str(path.resolve() if path.name in ("", "..") else path.parent.resolve() / path.name)
