"""A recipe's YAML and those that it extends, merged, with the file and line on which each field stands.

`extends: base.yaml` names a recipe relative to the file, or one that ships with the package. Mappings are merged field
by field; anything else, a list such as `rewards` included, takes the place of what it extends.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from tina_lite.util.disk import shipped_folder
from tina_lite.util.errors import BadInput, nearest


def shipped_recipes() -> dict[str, Path]:
    """List recipes by name, such as "quickstart" or "paper/limr"."""
    folder = shipped_folder("recipes")
    if folder is None:
        return {}
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in sorted(folder.rglob("*.yaml"))}


def find_recipe(path: Path) -> Path:
    """Find a file, or a shipped recipe by its name, which no folder hides.

    BadInput with the nearest where it is neither.
    """
    known, given = shipped_recipes(), path.expanduser()
    if str(path) in known and not os.path.isfile(given):
        return known[str(path)]
    if os.path.exists(given):
        return given
    raise BadInput(f"{path}: no such recipe{nearest(path.with_suffix('').as_posix(), list(known))}")


def headline(path: Path) -> str:
    """Read the first comment line of a recipe."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return next((line.removeprefix("#").strip() for line in lines if line.startswith("#")), "")


# A recipe's YAML and those that it extends, merged, with the file and line on which each field stands.
#
# `extends: base.yaml` names a recipe relative to the file, or one that ships with the package. Mappings are merged
# field by field; anything else, a list such as `rewards` included, takes the place of what it extends.


EXTENDS = "extends"
INSTEAD = {
    "mixture": ("source", "split", "config", "prompt", "answer", "where", "limit", "streaming", "params"),
    "source": ("mixture",),
}
"""Of `data`: what a field takes the place of, where the recipe that is extended has it."""


@dataclass(frozen=True, slots=True)
class RecipeFile:
    """Holds a file and those that it extends, itself first."""

    layers: tuple[tuple[Path, CommentedMap], ...]

    @classmethod
    def read(cls, path: Path) -> "RecipeFile":
        """Read the file; BadInput with file and line where it cannot be."""
        layers: list[tuple[Path, CommentedMap]] = []
        following: Path | None = path
        while following is not None:
            document = read_yaml(following)
            layers.append((following, document))
            following = _extended(following, document)
            if following is not None and following.resolve() in [layer.resolve() for layer, _ in layers]:
                way = " -> ".join(str(layer) for layer in (*(layer for layer, _ in layers), following))
                raise BadInput(f"{layers[-1][0]}:{_line_of(document, [EXTENDS])}: {EXTENDS}: goes in a circle: {way}")
        return cls(tuple(layers))

    @property
    def fields(self) -> dict[str, Any]:
        """Give all layers as one plain mapping."""
        merged: dict[str, Any] = {}
        for _, document in reversed(self.layers):
            merged = _merged(merged, {key: value for key, value in plain(document).items() if key != EXTENDS})
        return merged

    @property
    def folders(self) -> tuple[Path, ...]:
        """Where the files stand, the recipe's own folder first."""
        return tuple(dict.fromkeys(folder for path, _ in self.layers for folder in _beside(path)))

    def place_of(self, parts: list[str | int]) -> str:
        """`file:line` of a field, or of the deepest part of its way that any of the files holds."""
        path, document = max(self.layers, key=lambda layer: _depth(layer[1], parts))
        return f"{path}:{_line_of(document, parts)}"


def _beside(path: Path) -> list[Path]:
    """Where what stands beside a file may be: a link has two such places."""
    return list(dict.fromkeys((path.parent.resolve(), path.resolve().parent)))


def plain(value: Any) -> Any:
    """Turn containers of ruamel into plain ones."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def read_yaml(path: Path) -> CommentedMap:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BadInput(f"{path}: no such recipe; `tina-lite recipes` lists those that ship with the package") from None
    except IsADirectoryError:
        raise BadInput(f"{path}: is a folder, not a recipe file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: cannot be read as text ({error})") from None
    try:
        document = YAML().load(text)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        problem = getattr(error, "problem", None) or "not readable as YAML"
        raise BadInput(f"{place}: broken YAML: {' '.join(str(problem).split())}") from None
    if not isinstance(document, CommentedMap):
        raise BadInput(f"{path}: a recipe is a YAML mapping such as `data: {{source: train.jsonl}}`")
    return document


def _extended(path: Path, document: CommentedMap) -> Path | None:
    """The file that a recipe extends, if any."""
    if EXTENDS not in document:
        return None
    name, place = document[EXTENDS], f"{path}:{_line_of(document, [EXTENDS])}: {EXTENDS}"
    if not isinstance(name, str):
        raise BadInput(f"{place}: got {plain(name)!r}; needs a file, or the name of a recipe that ships")
    for folder in _beside(path):
        if (folder / name).is_file():
            return folder / name
    known = shipped_recipes()
    if name in known:
        return known[name]
    raise BadInput(f"{place}: no recipe {name!r} in {path.parent} or in the package{nearest(name, list(known))}")


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Merge a layer over the one below it; mappings are merged, all else is replaced.

    >>> _merged({"a": {"b": 1, "c": 2}, "d": [1, 2]}, {"a": {"c": 3}, "d": [4]})
    {'a': {'b': 1, 'c': 3}, 'd': [4]}
    """
    both = {
        key: _merged(below[key], value) if isinstance(below.get(key), dict) and isinstance(value, dict) else value
        for key, value in above.items()
    }
    gone = [name for key in above for name in INSTEAD.get(key, ()) if name not in above]
    return {**{key: value for key, value in below.items() if key not in gone}, **both}


def _depth(document: Any, parts: list[str | int]) -> int:
    """How many parts of the way to a field a document holds."""
    node = document
    for depth, part in enumerate(parts):
        try:
            node = node[part]
        except (KeyError, IndexError, TypeError):
            return depth
    return len(parts)


def _line_of(document: Any, parts: list[str | int]) -> int:
    """The line, from 1, of the deepest part of the way that stands in the file."""
    line, node = 0, document
    for part in parts:
        try:
            line = (node.lc.key(part) if isinstance(node, CommentedMap) else node.lc.item(part))[0]
            node = node[part]
        except (KeyError, IndexError, TypeError, AttributeError):
            break
    return int(line) + 1
