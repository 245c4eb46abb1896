"""A run as lines, for logs, for CI and for programs: as it goes, as bars while a person waits, and at its end."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar

from tina_lite.answers import boxed_answer
from tina_lite.budget.money import format_price, format_usd
from tina_lite.console.closing import closing_facts, interval
from tina_lite.console.state import ConsoleState, after
from tina_lite.console.text import clean, fold, format_duration, format_number, format_share, from_here, one_line
from tina_lite.runs.events import (
    AlarmOver,
    AlarmRaised,
    CheckpointSaved,
    Evaluated,
    Event,
    LogLine,
    PhaseChanged,
    Progress,
    RunFinished,
    RunStarted,
    Sample,
    Stamped,
    StepDone,
)


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[float], None]]:
    """Shown from the first share that the block tells, from 0 to 1, until its end; only where stderr is a terminal."""
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:.0f}%"), TimeElapsedColumn()
    with ProgressBar(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=1.0, visible=False)
        yield lambda share: progress.update(task, completed=share, visible=True)


class EvalBar:
    """Is told (model, benchmark, completions done, completions in all, dollars so far, tokens a second)."""

    def __init__(self, console: Console) -> None:
        self._progress = ProgressBar(
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
    """Write a run's dollars, and what is to come.

    >>> money(0.5, 0.2, 100, 50), money(0.5, 0.0, 0, 50), money(0.0, 0.0, 10, 5)
    ('$0.5000, $0.1000 to come', '$0.5000', '')
    """
    if not usd:
        return ""
    return f"{format_usd(usd)}, {format_usd(here * left / done)} to come" if done and here else format_usd(usd)


COMPARED = {"accuracy", "exact_match", "numeric", "choice"}
"""Rewards that compare the answer with the gold."""
TAGGED = {"format", "tag_count"}
ANSWER_CELLS = 24
"""Of an answer, so much is quoted."""


def why_nothing(sample: Sample) -> str:
    r"""Say why a reward gave nothing; empty where every reward gave something.

    >>> rewards = {"accuracy": 0.0, "format": 1.0}
    >>> why_nothing(Sample("1+1?", "2", "3\n</think>\n\\boxed{3}", rewards, 1.0, 0.0, "stop"))
    'its answer is 3, the gold 2'
    >>> why_nothing(Sample("1+1?", "2", "well, let me", {"accuracy": 0.0, "format": 0.0}, 0.0, 0.0, "length"))
    'cut off at its length limit; no \\boxed{} answer, the gold is 2; no </think> on a line of its own'
    """
    silent = [name for name, value in sample.rewards.items() if not value]
    if not silent:
        return ""
    reasons = ["it is empty"] if not sample.completion.strip() else []
    if sample.finish_reason == "loop":
        reasons.append("ended as it went round in circles")
    elif sample.finish_reason != "stop":
        reasons.append("cut off at its length limit")
    return "; ".join([*reasons, *dict.fromkeys(_reason(name, sample) for name in silent)])


def _reason(name: str, sample: Sample) -> str:
    if sample.rewards[name] is None:
        return f"{one_line(name)} could not judge it"
    if name in COMPARED:
        if not sample.answer:
            return "its verifier refuses it"
        gold, box = _brief(sample.answer), boxed_answer(sample.completion)
        return f"its answer is {_brief(box)}, the gold {gold}" if box else f"no \\boxed{{}} answer, the gold is {gold}"
    if name in TAGGED:
        tags = sample.completion.count("</think>")
        return f"{tags} times </think>, wanted is one" if tags > 1 else "no </think> on a line of its own"
    return f"{one_line(name)} gave 0"


def _brief(text: str) -> str:
    return "".join(fold(one_line(text), ANSWER_CELLS, 1)) or "empty"


class LineConsole:
    """A listener that writes lines. A run outlives its reader: a closed pipe is no reason to end it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def _write(self, line: str) -> None:
        encoding = self._stream.encoding or "utf-8"
        with suppress(OSError):
            self._stream.write(line.encode(encoding, "replace").decode(encoding) + "\n")
            self._stream.flush()


class JsonConsole(LineConsole):
    """Writes one JSON object for each event, and no progress."""

    def __call__(self, stamped: Stamped) -> None:
        if not isinstance(stamped.event, Progress):
            self._write(json.dumps(stamped.to_json(), allow_nan=False))


class PlainConsole(LineConsole):
    """Writes one line for each thing worth a line, without any control sequence."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._state = ConsoleState()

    def __call__(self, stamped: Stamped) -> None:
        self._state = after(self._state, stamped, now=stamped.elapsed_s)
        minutes, seconds = divmod(int(stamped.elapsed_s), 60)
        for line in plain_lines(self._state, stamped.event):
            self._write(f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}  {line}")


def plain_lines(state: ConsoleState, event: Event) -> list[str]:
    """What to say about an event; `state` has seen it already."""
    match event:
        case RunStarted():
            return [_start_line(event)]
        case StepDone():
            return [step_line(state, event)]
        case Evaluated():
            return [_eval_line(event, state.usd)]
        case CheckpointSaved():
            return [f"checkpoint of step {event.step}: {one_line(event.path)} ({event.seconds:.1f} s)"]
        case LogLine():
            return [f"{'warning: ' if event.level == 'warning' else ''}{one_line(event.text)}"]
        case AlarmRaised():
            advice = f"try {one_line(event.advice)}; more: tina-lite docs troubleshooting"
            return [f"alarm {event.name}, step {event.step}: {one_line(event.words)}: {advice}"]
        case AlarmOver():
            return [f"alarm {event.name} is over, step {event.step}"]
        case RunFinished():
            return [f"{label}: {value}" for label, value in closing_facts(state)]
        case PhaseChanged() | Progress():
            return []


def _start_line(started: RunStarted) -> str:
    limits = [
        f"at most {format_price(started.max_usd)}" if started.max_usd is not None else "",
        f"at most {started.max_hours:g} h" if started.max_hours is not None else "",
        f"{started.max_steps} steps" if started.max_steps is not None else "",
        f"resumed after step {started.resumed_from_step}" if started.resumed_from_step else "",
    ]
    machine = f"{one_line(started.model)}, {one_line(started.engine)} on {one_line(started.device)}"
    rate = f"{format_price(started.rate)}/h ({one_line(started.rate_source)})"
    words = [one_line(started.name), machine, rate, *limits, f"seed {started.seed}", from_here(started.folder)]
    return f"tina-lite {started.version}: " + ", ".join(word for word in words if word)


def _eval_line(result: Evaluated, usd: float) -> str:
    when = f"at step {result.step}" if result.when == "step" else f"{result.when} training"
    score = f"Pass@1 {format_share(result.pass_at_1)}{interval(result.ci95)}"
    size = f"{result.problems} problems x {result.samples}, length {format_number(result.mean_length)}"
    return f"{one_line(result.benchmark)} {when}: {score}, {size}, {format_usd(usd)}"


def step_line(state: ConsoleState, done: StepDone) -> str:
    """The figures that are known, in two-space columns."""
    metrics = done.metrics
    names = {"reward": "reward"}
    names |= {f"rewards/{name}/mean": name for name in state.reward_names()}
    names |= {"completions/mean_length": "length", "frac_reward_zero_std": "no-variance", "grad_norm": "grad-norm"}
    words = [f"step {done.step}" + (f"/{done.steps_planned}" if done.steps_planned else "")]
    words += [f"{one_line(label)} {format_number(metrics[name])}" for name, label in names.items() if name in metrics]
    if "tokens_per_second" in metrics:
        words.append(f"{format_number(metrics['tokens_per_second'])} tok/s")
    words.append(format_usd(state.usd))
    forecast = state.forecast(state.seen_at)
    return "  ".join([*words, f"{format_duration(forecast.seconds)} left"] if forecast else words)
