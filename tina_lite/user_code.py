"""Loading the user's own functions, of rewards and of data: `module:function` and `path/to/file.py:function`."""

import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from types import ModuleType
from typing import Any

from tina_lite.errors import BadInput, TinaError, nearest
from tina_lite.guest import guest


def load_function(place: str, base_folder: Path | None, field: str = "rewards") -> Callable[..., Any]:
    """The function at `module:function` or `file.py:function`; `field` of the recipe is what a fault is blamed on."""
    source, _, name = place.rpartition(":")
    with _blaming(source, field):
        module = _load_file(source, base_folder) if source.endswith(".py") else _load_module(source, base_folder)
    function = getattr(module, name, None)
    if callable(function):
        return function  # type: ignore[no-any-return]
    functions = [other for other, value in vars(module).items() if callable(value) and not other.startswith("_")]
    what = "is not a function" if hasattr(module, name) else "is not there"
    raise BadInput(f"{field}: {place}: {name} {what}{nearest(name, functions)}")


def _load_file(source: str, base_folder: Path | None) -> ModuleType:
    """A file is loaded once, however often it is named."""
    path = _find(source, base_folder)
    module_name = f"tina_lite_user_{path.stem}_{blake2b(str(path).encode(), digest_size=6).hexdigest()}"
    if module_name in sys.modules:
        return sys.modules[module_name]
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec, f"{path} ends in .py"
    assert spec.loader, f"{path} ends in .py"
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # before it runs: dataclasses and pickle look their module up
    try:
        _make_importable([path.parent, path.resolve().parent])
        with guest(path.name):
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[module_name]
        raise
    return module


def _find(source: str, base_folder: Path | None) -> Path:
    folders = [Path.cwd()] if base_folder is None else [Path.cwd(), base_folder]
    for folder in folders:
        path = folder / source
        if os.path.isfile(path):
            return path.parent.resolve() / path.name  # a link by its own name, which ends in .py
    raise _NotThere(f"no file {source} in {' or '.join(dict.fromkeys(map(str, folders)))}")


def _load_module(source: str, base_folder: Path | None) -> ModuleType:
    _make_importable([Path.cwd(), *([base_folder] if base_folder else [])])
    try:
        with guest(source):
            return importlib.import_module(source)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{source}.".startswith(f"{error.name}."):
            raise
        raise _NotThere(f"no module {source!r} here; name a file as path/to/file.py:function") from error


class _NotThere(Exception):
    """No such file or module."""


_brought: list[str] = []
"""Folders that recipes have added to Python's path."""


def _make_importable(folders: list[Path]) -> None:
    """Let a module that lies beside the recipe, and what it imports, be found; a function may import when it is called.

    Behind everything else, so that nothing is hidden by it, and before what an earlier recipe brought.
    """
    brought = list(dict.fromkeys([*map(str, folders), *_brought]))
    own = [folder for folder in sys.path if folder not in _brought]
    _brought[:] = [folder for folder in brought if folder not in own]
    sys.path[:] = [*own, *_brought]


@contextmanager
def _blaming(source: str, field: str) -> Iterator[None]:
    """Turn whatever the user's file raises while it loads into one line that names the place."""
    try:
        yield
    except _NotThere as error:
        raise BadInput(f"{field}: {error}") from error
    except TinaError:
        raise
    except (Exception, SystemExit) as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{where.filename}:{where.lineno}"
        if isinstance(error, SyntaxError):
            place = f"{error.filename}:{error.lineno}"
        raise BadInput(f"{field}: {source} does not load: {type(error).__name__}: {error} ({place})") from error
