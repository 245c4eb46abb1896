"""Evaluations as tables, for the terminal and for Markdown, beside what the paper's models reached."""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tina_lite.budget.money import format_usd
from tina_lite.console.text import clean, format_share
from tina_lite.eval.scoring import Comparison, Estimate, Result

# What the paper's models reached (paper_results.csv): zero-shot Pass@1 in percent, one number without an interval.
#
# Measured there by lighteval with vLLM at temperature 0.6, top-p 0.95 and up to 32,768 new tokens; a run of ours with a
# smaller limit is not the same measurement. AIME has 30 problems: one more or less is 3.33 points.


PAPER_BENCHMARKS = ("aime24", "aime25", "amc23", "math500", "gpqa-diamond", "minerva")
SETTING = "as printed: temperature 0.6, top-p 0.95, up to 32,768 tokens"


@dataclass(frozen=True, slots=True)
class PaperResult:
    model: str
    kind: str
    """base, main, or ablation."""
    pass_at_1: Mapping[str, float]
    """By benchmark, a share."""
    average: float
    """Over the six, as printed."""
    source: str


def paper_results() -> list[PaperResult]:
    """Read the paper's results, in the order of its tables.

    >>> [result.pass_at_1["aime24"] for result in paper_results() if result.model == "Tina-Open-RS2"]
    [0.4333]
    """
    with Path(__file__).with_name("paper_results.csv").open(encoding="utf-8", newline="") as file:
        return [
            PaperResult(
                model=row["model"],
                kind=row["kind"],
                pass_at_1={name: round(float(row[name]) / 100, 6) for name in PAPER_BENCHMARKS},
                average=round(float(row["average"]) / 100, 6),
                source=row["source"],
            )
            for row in csv.DictReader(file)
        ]


def paper_models() -> list[PaperResult]:
    """Those to compare with: the ablations are left out."""
    return [one for one in paper_results() if one.kind != "ablation"]


SIGNIFICANT = 0.05
FEW = 10
"""Where fewer problems tell two models apart, the interval of their difference covers more or less than 95%."""


@dataclass(frozen=True, slots=True)
class Report:
    """What an evaluation came to."""

    results: tuple[Result, ...]
    comparisons: tuple[Comparison, ...]
    stop_reason: str
    """finished, max_usd, interrupted, or rescored, where completions are missing still."""
    usd: float
    """Of all sessions, loading and judging included."""
    rate: float
    folder: str
    signal_number: int | None = None

    def to_json(self) -> dict[str, Any]:
        fields = asdict(self)
        del fields["signal_number"]
        return fields


def in_words(one: Comparison) -> str:
    """What a comparison says, and what it is too small to say.

    >>> in_words(Comparison("mine", "base", "aime24", 30, 0.042, (0.008, 0.076), 9, 2, 0.02))
    'aime24: mine is better than base by 4.2 points [0.8, 7.6], p = 0.02, 30 problems (9 better, 2 worse)'
    >>> in_words(Comparison("mine", "base", "aime24", 30, -0.01, (-0.1, 0.08), 4, 5, 0.9))
    'aime24: mine and base cannot be told apart: -1.0 points [-10.0, 8.0], p = 0.9, 30 problems (4 better, 5 worse): \
too few to see less than 9 points; the interval is a rough one, as few problems differ'
    """
    low, high = (100 * bound for bound in one.ci95)
    points, word = 100 * one.difference, "better" if one.difference > 0 else "worse"
    behind = f"p = {one.p:.2g}, {one.problems} problems ({one.better} better, {one.worse} worse)"
    names = one.model, one.base
    rough = "; the interval is a rough one, as few problems differ" if one.better + one.worse < FEW else ""
    if one.p >= SIGNIFICANT:
        told = f"{one.benchmark}: {names[0]} and {names[1]} cannot be told apart: {points:+.1f} points"
        few = f": too few to see less than {(high - low) / 2:.0f} points"
        return f"{told} [{low:.1f}, {high:.1f}], {behind}{few}{rough}"
    if one.difference < 0:
        low, high = -high, -low
    told = f"{one.benchmark}: {names[0]} is {word} than {names[1]} by {abs(points):.1f} points"
    return f"{told} [{low:.1f}, {high:.1f}], {behind}{rough}"


def shown(estimate: Estimate, interval: bool = True) -> str:
    """Write an estimate in percent with its interval.

    >>> shown(Estimate(0.4333, (0.2738, 0.608)))
    '43.3% [27.4, 60.8]'
    """
    low, high = estimate.ci95
    if not interval:
        return format_share(estimate.value)
    return f"{format_share(estimate.value)} [{100 * low:.1f}, {100 * high:.1f}]"


def counted(one: Result) -> str:
    """Write counts such as "31 of 50 x 8"."""
    whole = str(one.problems) if one.problems == one.asked else f"{one.problems} of {one.asked}"
    return f"{whole} x {one.samples}"


def paper_rows(report: Report) -> list[tuple[str, ...]]:
    """A heading, and Pass@1 of the paper's models on those of its benchmarks that were measured; empty without any."""
    measured = [name for name in PAPER_BENCHMARKS if any(one.benchmark == name for one in report.results)]
    rows = [(one.model, *(format_share(one.pass_at_1[name]) for name in measured)) for one in paper_models()]
    return [("model", *measured), *rows] if measured else []


WIDE = 120
"""Columns of a terminal in which every interval fits."""


NARROW = 80
"""In fewer columns each figure has a line of its own."""


def tables(report: Report, width: int) -> RenderableType:
    """Results, comparisons, the paper's models on the same benchmarks; where it is narrow, fewer intervals."""
    parts: list[RenderableType] = [_results(report, width)]
    parts += [Text(f"\n{in_words(comparison)}") for comparison in report.comparisons]
    if report.rate:
        parts.append(Text(f"\n{format_usd(report.usd)} in all, loading and judging included"))
    if paper := paper_rows(report):
        parts += [Text("\nThe paper's models, Pass@1 (arXiv 2504.15777)", style="italic")]
        parts += [_rows(paper[0], paper[1:], width), Text(SETTING, style="dim italic")]
    parts += [Text(note, style="yellow") for note in _notes(report)]
    return Group(*parts)


def _results(report: Report, width: int) -> RenderableType:
    wide = width >= WIDE
    headings = ["benchmark", "model", "problems", "Pass@1 [95%]", "Pass@k", "majority", "tokens/cut"]
    rows = []
    for one in report.results:
        largest = max(one.pass_at_k, default=None)
        row = [clean(one.benchmark), clean(one.model), counted(one), shown(one.pass_at_1)]
        row.append("-" if largest is None else f"@{largest} {shown(one.pass_at_k[largest], wide)}")
        row.append("-" if largest is None else shown(one.majority, wide))
        row.append(f"{one.mean_length:,.0f} ({one.cut_off:.0%})")
        rows.append([*row, format_usd(one.usd) if report.rate else "-"] if wide else row)
    return _rows([*headings, "dollars"] if wide else headings, rows, width, names=2)


def _rows(headings: Sequence[str], rows: Sequence[Sequence[str]], width: int, names: int = 1) -> RenderableType:
    """A table whose first columns are names and the others figures."""
    if width < NARROW:
        blocks = ("\n".join(f"{heading}: {cell}" for heading, cell in zip(headings, row, strict=True)) for row in rows)
        return Text("\n\n".join(blocks))
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for number, heading in enumerate(headings):
        if number < names:
            table.add_column(heading, overflow="fold", min_width=len(heading))
        else:
            table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


def _notes(report: Report) -> Iterable[str]:
    for one in report.results:
        if one.too_long:
            yield f"{one.benchmark}, {one.model}: {one.too_long} problems left out, their prompts do not fit the model"
        if one.undecided:
            yield f"{one.benchmark}, {one.model}: {one.undecided} completions were not judged in time, and are wrong"
        if one.problems < one.asked:
            yield (
                f"{one.benchmark}, {one.model}: partial ({report.stop_reason}), {one.problems} of {one.asked} "
                "problems; of the last batch those with short completions were finished first"
            )


HEADINGS = ("benchmark", "model", "problems", "Pass@1 [95%]", "Pass@k", "majority", "tokens", "cut off", "dollars")


def markdown(report: Report) -> str:
    """Write results with their intervals, comparisons in words, and the paper's models beside them."""
    parts = ["\n".join(_table(HEADINGS, (_row(one, report.rate) for one in report.results)))]
    if report.comparisons:
        parts.append("\n".join(f"- {_plain(in_words(one))}" for one in report.comparisons))
    if paper := paper_rows(report):
        parts.append(f"The paper's models, Pass@1 (arXiv 2504.15777; {SETTING}):")
        parts.append("\n".join(_table(paper[0], paper[1:])))
    if report.stop_reason != "finished":
        parts.append(f"Not finished ({report.stop_reason}): the figures are of the problems counted above.")
    return "\n\n".join(parts) + "\n"


def _row(one: Result, rate: float) -> tuple[str, ...]:
    largest = max(one.pass_at_k, default=None)
    return (
        one.benchmark,
        one.model,
        counted(one),
        shown(one.pass_at_1),
        "" if largest is None else f"@{largest} {shown(one.pass_at_k[largest])}",
        "" if largest is None else shown(one.majority),
        f"{one.mean_length:,.0f}",
        format_share(one.cut_off),
        format_usd(one.usd) if rate else "",
    )


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    for cells in (headings, ["---"] * len(headings), *rows):
        yield f"| {' | '.join(_plain(cell) for cell in cells)} |"


def _plain(text: str) -> str:
    """Without what Markdown would take for its own."""
    return clean(text).replace("|", "\\|").replace("\n", " ")
