"""A bar on stderr for work that a person waits for."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[float], None]]:
    """Shown from the first share that the block tells, from 0 to 1, until its end; only where stderr is a terminal."""
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:.0f}%"), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=1.0, visible=False)
        yield lambda share: progress.update(task, completed=share, visible=True)
