"""Loading the user's own functions, of rewards and of data: `module:function` and `path/to/file.py:function`."""

import importlib
import importlib.util
import os
import random
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from io import TextIOBase
from pathlib import Path
from types import ModuleType
from typing import Any

from tina_lite.util.errors import BadInput, TinaError, nearest

HANDLED = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGPROF}
"""All but the one that limits of time begin to listen to in the middle of a call (wall_clock.py)."""


@dataclass(slots=True)
class _Chance:
    """The states of random numbers that a process has one of; None of a library that is not loaded."""

    python: Any
    numpy: Any
    torch: Any

    @classmethod
    def now(cls) -> "_Chance":
        numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
        return cls(
            random.getstate(), numpy.random.get_state() if numpy else None, torch.get_rng_state() if torch else None
        )

    def put(self) -> None:
        random.setstate(self.python)
        if self.numpy is not None:
            sys.modules["numpy"].random.set_state(self.numpy)
        if self.torch is not None:
            sys.modules["torch"].set_rng_state(self.torch)


@dataclass(slots=True)
class _Belongings:
    """What guests have changed."""

    folder: str | None = None
    environment: dict[str, str | None] = field(default_factory=dict)
    """None: taken away."""
    chance: _Chance | None = None


_theirs = _Belongings()


class _Named(TextIOBase):
    """Stands in for stdout: each line goes to stderr, with the name of who prints it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._begun = ""

    def write(self, text: str) -> int:
        *lines, self._begun = (self._begun + text).split("\n")
        sys.stderr.write("".join(f"{self._name}: {line}\n" for line in lines))
        return len(text)

    def end(self) -> None:
        if self._begun:
            self.write("\n")


@contextmanager
def guest(name: str) -> Iterator[None]:
    """In the block somebody else's code runs, and `name` is said where it prints."""
    printed = _Named(name)
    try:
        with redirect_stdout(printed):
            if threading.current_thread() is threading.main_thread():
                with _put_back():
                    yield
            else:  # signals are the main thread's, and what the process has one of is in use there
                yield
    finally:
        printed.end()


@contextmanager
def _put_back() -> Iterator[None]:
    global _theirs
    handlers = {number: signal.getsignal(number) for number in HANDLED}
    alarm_was_set = signal.getitimer(signal.ITIMER_REAL)[0] > 0
    folder, environment, chance, threads = _folder(), dict(os.environ), _Chance.now(), _torch_threads()
    _enter(_theirs)
    try:
        yield
    finally:
        if not alarm_was_set:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in handlers.items():
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)
        there, then = _folder(), dict(os.environ)
        changed = {one: then.get(one) for one in {*environment, *then} if environment.get(one) != then.get(one)}
        _theirs = _Belongings(None if there == folder else there, changed, _Chance.now())
        _enter(_Belongings(None if there == folder else folder, {one: environment.get(one) for one in changed}, chance))
        if threads is not None and threads != _torch_threads():
            sys.modules["torch"].set_num_threads(threads)


def _enter(world: _Belongings) -> None:
    if world.folder is not None:
        with suppress(OSError):
            os.chdir(world.folder)
    for name, value in world.environment.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    if world.chance is not None:
        world.chance.put()


def _folder() -> str | None:
    """None where the working directory was removed."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return None


def _torch_threads() -> int | None:
    torch = sys.modules.get("torch")
    return torch.get_num_threads() if torch else None


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
