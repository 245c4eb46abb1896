"""A run's end of its watchdog: a process of its own that ends this one at its limit (watchdog.py).

The command starts it first of all; what knows the bill and the limits says so here. A run that is a part of somebody's
program, as in a notebook, has none: there nobody may end the process.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tina_lite.budget import watchdog
from tina_lite.util.disk import user_folder

if TYPE_CHECKING:
    from tina_lite.budget import Meter
    from tina_lite.budget.limits import Limits


def unbilled() -> Path:
    """Where the watchdogs of this user keep count of sessions that are on no run's bill."""
    return user_folder("XDG_STATE_HOME", "~/.local/state") / "unbilled.jsonl"


class _Guard:
    """The watchdog of this process."""

    def __init__(self, go: Callable[[str], None]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", watchdog.__file__, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._says, self._hears = self.process.stdin.fileno(), self.process.stdout.fileno()
        os.set_blocking(self._says, False)
        self.deadline: float | None = None
        threading.Thread(target=self._obey, args=(go,), name="guard", daemon=True).start()

    def _obey(self, go: Callable[[str], None]) -> None:
        if reason := os.read(self._hears, 1 << 16):
            go(reason.decode(errors="replace"))

    def tell(self, meter: "Meter", limits: "Limits") -> None:
        now, bill = watchdog.boottime(), meter.bill()
        left = limits.left(meter.read())
        self.deadline = now + left.seconds if left else None
        self.say(
            {
                "deadline": self.deadline,
                "limit": left.limit,
                "phase": meter.phase_now,
                "since": now,
                "seconds_by_phase": bill.seconds_by_phase,
                "rate": bill.rate,
                **meter.last_line(),
            }
        )

    def say(self, known: dict[str, Any]) -> None:
        with suppress(OSError):  # one that is not there any more guards nothing
            os.write(self._says, json.dumps(known).encode() + b"\n")


_guard: _Guard | None = None


def start(go: Callable[[str], None]) -> None:
    """Start the watchdog of this process; `go` is called with the reason, from a thread, and must end the process."""
    global _guard
    _guard = _Guard(go)


def stand_down() -> None:
    """Nothing is spent here: let the watchdog go."""
    global _guard
    if _guard is not None:
        _guard.say({"off": True})
    _guard = None


def guard(meter: "Meter", limits: "Limits", folder: Path, advice: str) -> None:
    """From now on the watchdog, where there is one, ends this process at the nearest of the limits.

    `advice` is the end of the line that says so.
    """
    watching = _guard
    if watching is not None:
        watching.say({"folder": str(folder.absolute()), "unbilled": str(unbilled()), "advice": advice})
        meter.tell = lambda: watching.tell(meter, limits)
        meter.tell()


def left_s() -> float:
    """Seconds until the watchdog ends this process; inf where none will."""
    return inf if _guard is None or _guard.deadline is None else _guard.deadline - watchdog.boottime()
