"""A terminal's keys while a picture stands on it: they neither show in it nor wait for Enter."""

import os
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TextIO

try:
    import termios
    import tty
except ImportError:  # not on Windows
    termios = None  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class Keys:
    descriptor: int | None

    def __call__(self, key: str, within_s: float) -> bool:
        """Whether the key is pressed within this time; other keys are passed over."""
        if self.descriptor is None:
            time.sleep(within_s)
            return False
        ready, _, _ = select.select([self.descriptor], [], [], within_s)
        return bool(ready) and key in os.read(self.descriptor, 64).decode(errors="replace")


@contextmanager
def single_keys(stream: TextIO | None) -> Iterator[Keys]:
    """Keys as they are pressed, without an echo; Ctrl-C stays what it is. Those that nobody read are dropped.

    A process in the background has no say over its terminal: it would be stopped for trying.
    """
    descriptor = _own_terminal(stream)
    if descriptor is None:
        yield Keys(None)
        return
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)
    try:
        yield Keys(descriptor)
    finally:
        if _own_terminal(stream) is not None:
            termios.tcsetattr(descriptor, termios.TCSAFLUSH, before)


def _own_terminal(stream: TextIO | None) -> int | None:
    """The descriptor of a terminal that this process may set; None where there is none."""
    try:
        if termios is None or stream is None or not stream.isatty():
            return None
        descriptor = stream.fileno()
    except (OSError, ValueError):
        return None
    return None if _in_background(descriptor) else descriptor


def _in_background(descriptor: int) -> bool:
    try:
        return os.tcgetpgrp(descriptor) != os.getpgrp()
    except OSError:  # of another session, which has no such rule
        return False
