"""What a person or a program sees of a run. Everything is drawn from the event stream; the trainer knows nothing of it.

The room:
    live.py     the full-screen view of a run that this process does: a thread that draws, and what becomes of prints
    screen.py   what is written to the terminal: only what has changed
    view.py     which parts the picture has, and where; pure, as are its parts:
    run_box.py  how far, how long, how much
    curves.py   what is learnt
    reading.py  samples, alarms, notices; why.py: why a completion got nothing
    frame.py    rectangles of text
    state.py    the state as a pure function of the events; history.py: the metrics of its steps
    closing.py  the summary at the end
    lines.py    plain lines for logs, JSON lines for programs
    text.py     harmless text, durations, charts, bars
"""

import os
import sys
from collections.abc import Mapping
from typing import TextIO

from tina_lite.console.lines import JsonLines, PlainConsole
from tina_lite.console.live import LiveConsole

__all__ = ["JsonLines", "LiveConsole", "PlainConsole", "choose"]


def choose(
    plain: bool,
    json: bool,
    environ: Mapping[str, str] = os.environ,
    stdout: TextIO | None = None,
    stderr: TextIO | None = None,
) -> LiveConsole | PlainConsole | JsonLines:
    """JSON on stdout when asked for; the live view where a terminal can show it; else plain lines on stderr."""
    stdout, stderr = stdout or sys.stdout, stderr or sys.stderr
    if json:
        return JsonLines(stdout)
    terminal = stdout.isatty() and stderr.isatty() and environ.get("TERM", "") not in ("dumb", "unknown")
    unicode = (stderr.encoding or "").lower().replace("-", "") == "utf8"
    if plain or environ.get("NO_COLOR") or not terminal or not unicode:
        return PlainConsole(stderr)
    return LiveConsole(stderr)
