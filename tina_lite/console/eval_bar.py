"""The progress of an evaluation on a terminal: a bar for each model on each benchmark, its time and dollars to come."""

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from tina_lite.budget.money import format_usd
from tina_lite.console.text import clean


class EvalBar:
    """Told (model, benchmark, completions done, completions in all, dollars so far, tokens a second)."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.completed:,.0f} of {task.total:,.0f} completions"),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[money]}"),
            console=console,
            expand=True,
        )
        self._tasks: dict[tuple[str, str], tuple[TaskID, int, float]] = {}
        """By what is measured: its bar, and the completions and dollars that it was first seen with."""

    def __enter__(self) -> "EvalBar":
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()

    def __call__(self, model: str, benchmark: str, done: int, total: int, usd: float, speed: float | None) -> None:
        key = model, benchmark
        if key not in self._tasks:
            task = self._progress.add_task(
                clean(f"{benchmark}, {model}"), total=total, completed=done, money="", speed=""
            )
            self._tasks[key] = task, done, usd
        task, first, before = self._tasks[key]
        said = "" if speed is None else f"{speed:,.0f} tok/s"
        left = money(usd, usd - before, done - first, total - done)
        self._progress.update(task, completed=done, money=left, speed=said)


def money(usd: float, here: float, done: int, left: int) -> str:
    """
    >>> money(0.5, 0.2, 100, 50), money(0.5, 0.0, 0, 50), money(0.0, 0.0, 10, 5)
    ('$0.5000, $0.1000 to come', '$0.5000', '')
    """
    if not usd:
        return ""
    return f"{format_usd(usd)}, {format_usd(here * left / done)} to come" if done and here else format_usd(usd)
