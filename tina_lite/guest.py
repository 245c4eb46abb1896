"""Code that others wrote, in this process: what it changes is its own, there when it is called again and nowhere else.

That is the working directory, the environment, and random numbers. Handlers of signals, alarms, and the number of
torch's threads are put back. What it prints goes to stderr under its name, as stdout belongs to who called the command.
"""

import os
import random
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass, field
from io import TextIOBase
from typing import Any

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
