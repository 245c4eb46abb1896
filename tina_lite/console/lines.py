"""A run as lines, for logs, for CI and for programs: as it goes, as bars while a person waits, and at its end."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from math import floor
from types import TracebackType
from typing import Any, Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar

from tina_lite.answers import boxed_answer
from tina_lite.budget.money import format_price, format_usd
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
from tina_lite.runs.summary import gained


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
    if sample.finish_reason != "stop":
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


Facts = list[tuple[str, str]]


def closing_facts(state: ConsoleState) -> Facts:
    """Labels with values, in the order of interest; empty while the run has not finished."""
    summary = state.summary
    if summary is None:
        return []
    facts = [
        ("ended by", one_line(str(summary.get("stop_reason", "unknown")).replace("_", " "))),
        ("held-out Pass@1", held_out(summary.get("eval") or {})),
        ("best", best(summary.get("best_eval") or {})),
        ("reward", reward(summary.get("reward") or {})),
        ("steps", steps(summary)),
        ("dollars", dollars(summary, state.started.max_usd if state.started else None)),
        ("a dollar bought", bought(summary.get("per_dollar") or {})),
        ("spent on", phases(summary.get("usd_by_phase") or {})),
        ("tokens", tokens(summary.get("tokens") or {})),
        ("amiss at the end", amiss(summary.get("alarms") or {})),
        ("folder", from_here(state.started.folder) if state.started else ""),
    ]
    return [(label, value) for label, value in facts if value]


def amiss(alarms: Mapping[str, str]) -> str:
    """Name the alarms that are not over.

    >>> amiss({"clipped": "95% of the completions are cut off before their answer"})
    'clipped: 95% of the completions are cut off before their answer'
    """
    return "; ".join(f"{one_line(name)}: {one_line(words)}" for name, words in alarms.items())


def held_out(evaluation: Mapping[str, Any]) -> str:
    """Say what held-out problems show before and after.

    >>> held_out({"before": {"pass_at_1": 0.18, "ci95": [0.15, 0.21]}, "after": {"pass_at_1": 0.85}})
    '18.0% [15.0, 21.0] -> 85.0%, +67.0 points'
    >>> held_out({"before": {"pass_at_1": 0.18, "problems": 200}, "after": {"pass_at_1": 0.85, "problems": 20}})
    '18.0% on 200 problems, 85.0% on 20: not to be compared'
    """
    before, after = (evaluation.get(when) or {} for when in ("before", "after"))
    measured = [_pass_at_1(result) for result in (before, after) if "pass_at_1" in result]
    gain = gained(evaluation)
    if gain is not None:
        return f"{measured[0]} -> {measured[1]}, {100 * gain:+.1f} points"
    if len(measured) == 2:
        counts = (before.get("problems", "some"), after.get("problems", "some"))
        return f"{measured[0]} on {counts[0]} problems, {measured[1]} on {counts[1]}: not to be compared"
    if not measured:
        return ""
    missing = "before; not measured after" if "pass_at_1" in before else "after; not measured before"
    return f"{measured[0]} {missing}"


def best(measured: Mapping[str, Any]) -> str:
    """Of the evaluations during training, where its adapter was kept.

    >>> best({"step": 40, "pass_at_1": 0.62, "adapter": "runs/mine/adapter-best"})
    '62.0% at step 40, in adapter-best'
    """
    if not measured.get("adapter"):
        return ""
    folder = one_line(str(measured["adapter"]).rpartition("/")[2])
    return f"{format_share(measured['pass_at_1'])} at step {measured['step']}, in {folder}"


def _pass_at_1(result: Mapping[str, Any]) -> str:
    return format_share(result["pass_at_1"]) + (interval(result["ci95"]) if result.get("ci95") else "")


def interval(ci95: tuple[float, float]) -> str:
    """Write an interval in percent.

    >>> interval((0.15, 0.2125))
    ' [15.0, 21.2]'
    """
    return f" [{100 * ci95[0]:.1f}, {100 * ci95[1]:.1f}]"


def reward(values: Mapping[str, Any]) -> str:
    """Write a run's first, last and best reward.

    >>> reward({"first": 0.9, "last": 2.613, "best": 2.7, "best_step": 37})
    '0.900 first, 2.61 last, 2.70 best (step 37)'
    """
    known = [name for name in ("first", "last", "best") if values.get(name) is not None]
    text = ", ".join(f"{format_number(values[name])} {name}" for name in known)
    return f"{text} (step {values['best_step']})" if "best" in known and "best_step" in values else text


def steps(summary: Mapping[str, Any]) -> str:
    """Write the steps of all sessions, with their time.

    >>> steps({"steps": 80, "gpu_hours": 0.05})
    '80 in 3 min 00 s'
    """
    if not {"steps", "gpu_hours"} <= summary.keys():
        return ""
    return f"{summary['steps']} in {format_duration(3600 * summary['gpu_hours'])}"


def dollars(summary: Mapping[str, Any], max_usd: float | None) -> str:
    """Write what a run has cost, beside its budget.

    >>> dollars({"usd": 0.00771, "rate": 0.2}, max_usd=0.01)
    '$0.0078 of $0.01 at $0.20/h'
    """
    if "usd" not in summary:
        return ""
    cap = f" of {format_price(max_usd)}" if max_usd is not None else ""
    rate = f" at {format_price(summary['rate'])}/h" if isinstance(summary.get("rate"), int | float) else ""
    return format_usd(summary["usd"]) + cap + rate


def bought(per_dollar: Mapping[str, float | None]) -> str:
    """The gain that was measured best, and tokens.

    >>> bought({"points": 12473.7, "reward": 281.5, "tokens": 41_600_000.0})
    '+12,473 points of Pass@1, 41,600,000 tokens sampled'
    >>> bought({"points": None, "reward": -0.0123, "tokens": 2000.0}), bought({"points": None, "reward": None})
    ('-0.0123 reward, 2,000 tokens sampled', '')
    """
    points, reward, tokens = (per_dollar.get(name) for name in ("points", "reward", "tokens"))
    if points is not None:
        gain = f"{_signed(points)} points of Pass@1"
    else:
        gain = "" if reward is None else f"{_signed(reward)} reward"
    return ", ".join(filter(None, (gain, f"{int(tokens):,} tokens sampled" if tokens else "")))


def _signed(value: float) -> str:
    """Whole numbers rounded down where they are large: what was bought is not overstated."""
    return f"{floor(value):+,}" if abs(value) >= 100 else f"{value:+.3g}"


def phases(usd_by_phase: Mapping[str, float]) -> str:
    """Write the dollars of a run by phase, the most first.

    >>> phases({"load": 0.0005, "rollout": 0.00312, "save": 0.0})
    'rollout $0.0032, load $0.0005'
    """
    spent = sorted(((usd, phase) for phase, usd in usd_by_phase.items() if usd > 0), reverse=True)
    return ", ".join(f"{phase} {format_usd(usd)}" for usd, phase in spent)


def tokens(counts: Mapping[str, int]) -> str:
    """Write the tokens of a run by what they were used for.

    >>> tokens({"prompt": 12000, "completion": 131072, "trained": 90000})
    '131,072 sampled, 90,000 trained on, 12,000 of prompts'
    """
    names = {"completion": "sampled", "trained": "trained on", "prompt": "of prompts"}
    return ", ".join(f"{counts[name]:,} {words}" for name, words in names.items() if name in counts)


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
