"""The same run from any folder: files that a recipe names, by their absolute paths."""

import os
from collections.abc import Callable
from pathlib import Path

from tina_lite.recipe.schema import Recipe


def with_local_paths(recipe: Recipe, folders: tuple[Path, ...]) -> Recipe:
    """Looked for from the working directory, then from `folders`, where the recipe and what it extends stand."""
    places = Places((Path.cwd(), *folders))
    parts = tuple(part.model_copy(update={"source": places.data(part.source)}) for part in recipe.data.mixture)
    sections = {
        "data": recipe.data.model_copy(update={"source": places.data(recipe.data.source), "mixture": parts}),
        "model": recipe.model.model_copy(update={"id": places.absolute(recipe.model.id, _holds_a_model)}),
        "rewards": tuple(
            one.model_copy(update={"name": places.function(one.name) or one.name}) for one in recipe.rewards
        ),
        "eval": recipe.eval.model_copy(update={"benchmarks": tuple(map(places.benchmark, recipe.eval.benchmarks))}),
    }
    return recipe.model_copy(update=sections)


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
