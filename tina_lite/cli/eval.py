"""tina-lite eval (RUN | ADAPTER | MODEL) --benchmark NAME..."""

import json
import re
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tina_lite.budget.money import format_usd
from tina_lite.cli.arguments import named
from tina_lite.util.errors import BadInput, Interrupted
from tina_lite.version import VERSION

if TYPE_CHECKING:
    from tina_lite.data.benchmarks import Benchmark
    from tina_lite.eval.manifest import EvalArgs
    from tina_lite.eval.session import Watch
    from tina_lite.eval.tables import Report
    from tina_lite.policy.model_ref import ModelRef

OWN_BASE, HELD_OUT = "base", "held_out"
PAPER = "paper"
EVALS = Path("evals")
LINE_EVERY_S = 10.0
ABOUT_ROWS = ("prompt", "answer", "split", "config", "where")
ABOUT_DATA = (*ABOUT_ROWS, "system_prompt", "chat_template_kwargs")
"""Fields of a recipe's `data` that an evaluation knows."""


@click.command("eval")
@click.argument("model", metavar="(RUN | ADAPTER | MODEL | RESULT)")
@click.option(
    "--benchmark",
    "names",
    multiple=True,
    metavar="NAME",
    help="aime24, aime25, amc23, math500, gpqa-diamond, minerva, or paper for these six; gsm8k; NAME=FILE for a copy "
    "of one; held_out, FILE, HUB_ID, reasoning_gym:TASK.",
)
@click.option("--prompt", metavar="COLUMN", help="Of a file or hub data set, where the question stands.")
@click.option("--answer", metavar="COLUMN", help="The same of the answer; a.b is field b of column a.")
@click.option("--system-prompt", metavar="TEXT", help="Said before each question; default: as the run had it.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="data.FIELD=VALUE",
    help="As in a recipe: split, config, where, chat_template_kwargs.",
)
@click.option("--samples", type=click.IntRange(min=1), default=8, show_default=True, help="Completions a problem.")
@click.option("--temperature", type=click.FloatRange(min=0), default=0.6, show_default=True)
@click.option("--top-p", type=click.FloatRange(min=0, min_open=True, max=1), default=0.95, show_default=True)
@click.option("--max-completion-length", type=click.IntRange(min=1), metavar="N", help="Tokens; default: the run's.")
@click.option(
    "--problems", "--limit", "limit", type=click.IntRange(min=1), metavar="N", help="The first N of each benchmark."
)
@click.option(
    "--max-usd", "--max-cost", type=click.FloatRange(min=0, min_open=True), metavar="X", help="Spend at most X."
)
@click.option("--rate", metavar="X", help="What an hour costs, in US dollars.")
@click.option("--compare", "bases", multiple=True, metavar="BASE", help="Another model beside it; base: the run's own.")
@click.option("--adapter-off", is_flag=True, help="Measure the base alone, loaded as the run had it.")
@click.option("--quantization", type=click.Choice(["nf4", "none"]), help="Of all models; default: as the run had it.")
@click.option(
    "--dtype", type=click.Choice(["bfloat16", "float16", "float32"]), help="To compute in; default: as the run did."
)
@click.option("--rescore", is_flag=True, help="Judge what RESULT, a folder of an evaluation, holds; loads no model.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Default: RUN/eval, or evals/NAME.")
@click.option("--plain", is_flag=True, help="Lines instead of a progress bar.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout, and nothing else.")
def eval_command(
    model: str,
    names: tuple[str, ...],
    prompt: str | None,
    answer: str | None,
    system_prompt: str | None,
    settings: tuple[str, ...],
    samples: int,
    temperature: float,
    top_p: float,
    max_completion_length: int | None,
    limit: int | None,
    max_usd: float | None,
    rate: str | None,
    bases: tuple[str, ...],
    adapter_off: bool,
    quantization: str | None,
    dtype: str | None,
    rescore: bool,
    out: Path | None,
    plain: bool,
    as_json: bool,
) -> None:
    """Measure a model: Pass@1, Pass@k and the majority vote on benchmarks, with 95% intervals.

    Every completion is kept in DIR. The same command goes on where it was stopped.
    """
    from tina_lite.eval.manifest import EvalArgs

    folder = out
    if rescore:
        folder = out or Path(model)
        asked = EvalArgs.read(folder)
    else:
        asked = EvalArgs(
            model,
            tuple(word for name in names for word in _expanded(name)),
            samples,
            temperature,
            top_p,
            max_completion_length,
            limit,
            bases,
            adapter_off,
            quantization,
            dtype,
            _about_data(settings, prompt=prompt, answer=answer, system_prompt=system_prompt),
        )
    if not asked.benchmarks and _holds_problems_out(asked.model):
        asked = replace(asked, benchmarks=(HELD_OUT,))
    if not asked.benchmarks:
        raise BadInput("--benchmark: name what to measure on, such as --benchmark math500 or --benchmark held_out")
    with _progress(plain or as_json) as watch:
        report = _measure(asked, folder, rate, max_usd, rescore=rescore, watch=watch)
    if as_json:
        print(json.dumps(report.to_json()))
    else:
        from rich.console import Console

        from tina_lite.eval.tables import tables

        console = Console()
        console.print(tables(report, console.width))
        print(f"{report.folder}/results.json")
    if report.signal_number is not None:
        raise Interrupted(f"stopped; the same command goes on in {report.folder}", report.signal_number)


def _holds_problems_out(model: str) -> bool:
    """Whether it is a run that keeps problems from training: those are meant where none are named."""
    from tina_lite.policy.model_ref import resolve

    recipe = resolve(named(model)).recipe
    return recipe is not None and HELD_OUT in recipe.eval.benchmarks


def _measure(
    asked: "EvalArgs",
    folder: Path | None,
    rate: str | None,
    max_usd: float | None,
    *,
    rescore: bool,
    watch: "Watch",
) -> "Report":
    from tina_lite.budget import Meter
    from tina_lite.budget.guard import guard
    from tina_lite.budget.limits import Limits
    from tina_lite.eval.manifest import SamplingParams
    from tina_lite.eval.session import run_evaluation
    from tina_lite.launch.planning import hourly_rate
    from tina_lite.recipe.schema import BudgetSection, RolloutSection
    from tina_lite.util.device import usable_card

    target, *others = _targets(asked)
    folder = folder or (target.run / "eval" if target.run else EVALS / target.name)
    budget = target.recipe.budget if target.recipe else BudgetSection()
    hourly = hourly_rate(budget, rate, usable_card(), needs_price=max_usd is not None)
    guard(Meter.in_memory(hourly), Limits(max_usd=max_usd), folder, "nothing was asked")
    benchmarks = [_benchmark(name, target, asked) for name in asked.benchmarks]
    _refuse_twice([one.name for one in benchmarks], "--benchmark")
    rollout = target.recipe.rollout if target.recipe else RolloutSection()
    # The run's own top_k and min_p are for training; a figure is of the whole distribution, or of top_p's.
    sampled = {"temperature": asked.temperature, "top_p": asked.top_p, "top_k": 0, "min_p": 0.0}
    if asked.max_completion_length is not None:
        sampled["max_completion_length"] = asked.max_completion_length
    system_prompt = asked.data.get("system_prompt", target.recipe.data.system_prompt if target.recipe else None)
    return run_evaluation(
        [target, *others],
        benchmarks,
        SamplingParams(asked.samples, rollout.model_copy(update=sampled), system_prompt),
        folder=folder,
        rate=hourly,
        max_usd=max_usd,
        watch=watch,
        rescore=rescore,
        asked=asked,
    )


def _targets(asked: "EvalArgs") -> "list[ModelRef]":
    """The model that is measured, and those beside it."""
    from tina_lite.policy.model_ref import resolve

    own = resolve(named(asked.model), asked.quantization)  # type: ignore[arg-type]
    if asked.adapter_off and own.adapter is None:
        raise BadInput(f"--adapter-off: {asked.model} has no adapter; leave it out")
    target = own.base if asked.adapter_off else own
    others = [own.base if base == OWN_BASE else resolve(named(base), asked.quantization) for base in asked.compare]  # type: ignore[arg-type]
    targets = [target, *others]
    _refuse_twice([one.name for one in targets], "--compare")
    switches = asked.data.get("chat_template_kwargs")
    if switches is not None:
        targets = [replace(one, template_kwargs=switches) for one in targets]
    return [replace(one, compute_dtype=asked.dtype) for one in targets] if asked.dtype else targets


def _about_data(settings: "Iterable[str]", **named: str | None) -> dict[str, Any]:
    """Fields of a recipe's `data` that say how a benchmark is read and asked. BadInput where one is none of these."""
    from pydantic import ValidationError

    from tina_lite.recipe import parse_override
    from tina_lite.recipe.schema import DataSection

    given: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
    for field, value in map(parse_override, settings):
        section, _, name = field.partition(".")
        if section != "data" or name not in ABOUT_DATA:
            raise BadInput(f"--set {field}: an evaluation knows data.{', data.'.join(ABOUT_DATA)}")
        given[name] = value
    try:
        read = DataSection.model_validate({"source": "benchmark", **given})
    except ValidationError as error:
        fault = error.errors()[0]
        raise BadInput(f"--set data.{'.'.join(map(str, fault['loc']))}: {fault['msg']}") from None
    return {name: getattr(read, name) for name in given}


def _refuse_other_rule(run: Path) -> None:
    """BadInput where the problems that would be asked are not those that the run did not train on."""
    from tina_lite.data.problem_set import HELD_OUT_SINCE
    from tina_lite.runs.look import begins, records

    for started in records(run / "events.jsonl", begins("run_started")):
        version = str(started.get("version"))
        if tuple(map(int, re.findall(r"\d+", version))) < HELD_OUT_SINCE:
            raise BadInput(
                f"--benchmark held_out: {run} was trained by tina-lite {version}, which may have held out other "
                f"problems than {VERSION}, and trained on some that would be asked; measure with that version, or on "
                "another benchmark"
            )


def _expanded(name: str) -> tuple[str, ...]:
    """`paper` stands for its six."""
    from tina_lite.eval.tables import PAPER_BENCHMARKS

    return PAPER_BENCHMARKS if name == PAPER else (name,)


def _benchmark(name: str, target: "ModelRef", asked: "EvalArgs") -> "Benchmark":
    from tina_lite.data.benchmarks import Benchmark, load_benchmark
    from tina_lite.data.sources import held_out_of

    if name != HELD_OUT:
        like = target.recipe.data if target.recipe else None
        given = {field: value for field, value in asked.data.items() if field in ABOUT_ROWS}
        return load_benchmark(name, limit=asked.limit, like=like, given=given)
    if target.recipe is None or target.run is None:
        raise BadInput("--benchmark held_out: only a run holds problems out; name a run folder")
    _refuse_other_rule(target.run)
    return Benchmark(HELD_OUT, held_out_of(target.recipe)[: asked.limit or target.recipe.eval.problems])


def _refuse_twice(names: list[str], option: str) -> None:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise BadInput(f"{option}: two of the name {twice}; each needs one of its own")


@contextmanager
def _progress(plain: bool) -> "Iterator[Watch]":
    """A bar on a terminal, else a line now and then; both on stderr."""
    from rich.console import Console

    console = Console(stderr=True)
    if plain or not console.is_terminal:
        yield _EvalLines()
        return
    from tina_lite.console.lines import EvalBar

    with EvalBar(console) as bar:
        yield bar


class _EvalLines:
    """A line on stderr now and then."""

    def __init__(self) -> None:
        self._said_at = time.monotonic()

    def __call__(self, model: str, benchmark: str, done: int, total: int, usd: float, speed: float | None) -> None:
        if done < total and time.monotonic() - self._said_at < LINE_EVERY_S:
            return
        self._said_at = time.monotonic()
        said = f"{done:,} of {total:,} completions, {format_usd(usd)}"
        said += "" if speed is None else f", {speed:,.0f} tok/s"
        print(f"{benchmark}, {model}: {said}", file=sys.stderr, flush=True)
