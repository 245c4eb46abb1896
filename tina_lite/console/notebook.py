"""A run in a notebook: one picture that is drawn anew in its cell, and the summary as a table."""

import sys
import time
from html import escape
from io import StringIO
from typing import Any

from rich.console import Console

from tina_lite.console.closing import closing_facts
from tina_lite.console.live import REDRAW_S, draw
from tina_lite.console.state import ConsoleState, after
from tina_lite.runs.events import RunFinished, Stamped

WIDTH, HEIGHT = 100, 24
PAGE = '<pre style="line-height: 1.2; font-family: monospace; overflow-x: auto">{code}</pre>'


def in_notebook() -> bool:
    """Whether this is a notebook's kernel; IPython at a terminal is none."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


class NotebookView:
    """Listens to a run; the picture changes at an event, not more often than a terminal's."""

    def __init__(self) -> None:
        from IPython.display import HTML, display

        self._state = ConsoleState()
        self._html = HTML
        self._drawn_at = -REDRAW_S
        self._cell = display(HTML(""), display_id=True)

    def __call__(self, stamped: Stamped) -> None:
        now = time.monotonic()
        self._state = after(self._state, stamped, now)
        if now - self._drawn_at >= REDRAW_S or isinstance(stamped.event, RunFinished):
            self._drawn_at = now
            self._cell.update(self._html(picture(self._state, now)))


def picture(state: ConsoleState, now: float) -> str:
    """Draw a run as HTML."""
    console = Console(
        width=WIDTH, height=HEIGHT, record=True, file=StringIO(), force_terminal=True, force_jupyter=False
    )
    console.print(draw(state, WIDTH, HEIGHT, now))
    return console.export_html(inline_styles=True, code_format=PAGE)


class Summary(dict[str, Any]):
    """Is what summary.json holds; a notebook shows the few lines that a terminal would be left with."""

    def _repr_html_(self) -> str:
        facts = closing_facts(ConsoleState(summary=self))
        rows = (f"<tr><th>{escape(label)}</th><td>{escape(value)}</td></tr>" for label, value in facts)
        return f"<table>{''.join(rows)}</table>"
