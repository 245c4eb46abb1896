"""What a person or a program sees of a run. Everything is drawn from the event stream; the trainer knows nothing of it.

state.py   the state as a pure function of the events
lines.py   plain lines for logs, JSON lines for programs, the summary at the end
live.py    the full-screen view of a run that this process does; which parts it has, and where they stand
panels.py  its parts: curves, samples, alarms, notices
screen.py  what is written to the terminal: only what has changed
text.py    harmless text, durations, charts, bars
watch.py   a run seen from its files; chat.py: a chat with what it has trained
"""

import os
import sys
from collections.abc import Mapping
from typing import TextIO

from tina_lite.console.lines import JsonConsole, PlainConsole
from tina_lite.console.live import LiveConsole

__all__ = ["JsonConsole", "LiveConsole", "PlainConsole", "choose"]


def choose(
    plain: bool,
    json: bool,
    environ: Mapping[str, str] = os.environ,
    stdout: TextIO | None = None,
    stderr: TextIO | None = None,
) -> LiveConsole | PlainConsole | JsonConsole:
    """JSON on stdout when asked for; the live view where a terminal can show it; else plain lines on stderr."""
    stdout, stderr = stdout or sys.stdout, stderr or sys.stderr
    if json:
        return JsonConsole(stdout)
    terminal = stdout.isatty() and stderr.isatty() and environ.get("TERM", "") not in ("dumb", "unknown")
    unicode = (stderr.encoding or "").lower().replace("-", "") == "utf8"
    if plain or environ.get("NO_COLOR") or not terminal or not unicode:
        return PlainConsole(stderr)
    return LiveConsole(stderr)
