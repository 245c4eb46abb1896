"""A run as lines: for logs, for CI, and for programs."""

import json
from contextlib import suppress
from types import TracebackType
from typing import Self, TextIO

from tina_lite.budget.money import format_price, format_usd
from tina_lite.console.closing import closing_facts, interval
from tina_lite.console.state import RunState, after
from tina_lite.console.text import format_duration, format_number, format_share, from_here, one_line
from tina_lite.runs.events import (
    CheckpointSaved,
    Evaluated,
    Event,
    Notice,
    PhaseChanged,
    Progress,
    RunFinished,
    RunStarted,
    Stamped,
    StepDone,
)


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


class JsonLines(LineConsole):
    """One JSON object an event; no progress."""

    def __call__(self, stamped: Stamped) -> None:
        if not isinstance(stamped.event, Progress):
            self._write(json.dumps(stamped.to_json(), allow_nan=False))


class PlainConsole(LineConsole):
    """One line for each thing worth a line, without any control sequence."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._state = RunState()

    def __call__(self, stamped: Stamped) -> None:
        self._state = after(self._state, stamped, now=stamped.elapsed_s)
        minutes, seconds = divmod(int(stamped.elapsed_s), 60)
        for line in plain_lines(self._state, stamped.event):
            self._write(f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}  {line}")


def plain_lines(state: RunState, event: Event) -> list[str]:
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
        case Notice():
            return [f"{'warning: ' if event.level == 'warning' else ''}{one_line(event.text)}"]
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


def step_line(state: RunState, done: StepDone) -> str:
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
