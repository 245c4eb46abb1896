"""An evaluation as tables for a terminal."""

from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tina_lite.budget.money import format_usd
from tina_lite.console.text import clean
from tina_lite.evaluate.paper import SETTING
from tina_lite.evaluate.report import Report, counted, in_words, paper_rows, shown

WIDE = 120
"""Columns of a terminal in which every interval fits."""


def tables(report: Report, width: int) -> RenderableType:
    """Results, comparisons, the paper's models on the same benchmarks; where it is narrow, fewer intervals."""
    parts: list[RenderableType] = [_results(report, wide=width >= WIDE)]
    parts += [Text(f"\n{in_words(comparison)}") for comparison in report.comparisons]
    if report.rate:
        parts.append(Text(f"\n{format_usd(report.usd)} in all, loading and judging included"))
    if paper := paper_rows(report):
        parts.append(_paper(paper))
    parts += [Text(note, style="yellow") for note in _notes(report)]
    return Group(*parts)


def _results(report: Report, *, wide: bool) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in ("benchmark", "model"):
        table.add_column(heading, overflow="fold", min_width=len("benchmark"))
    for heading in ("problems", "Pass@1 [95%]", "Pass@k", "majority", "tokens (cut)", *(["dollars"] if wide else [])):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in report.results:
        largest = max(one.pass_at_k, default=None)
        usd = format_usd(one.usd) if report.rate else "-"
        table.add_row(
            clean(one.benchmark),
            clean(one.model),
            counted(one),
            shown(one.pass_at_1),
            "-" if largest is None else f"@{largest} {shown(one.pass_at_k[largest], wide)}",
            "-" if largest is None else shown(one.majority, wide),
            f"{one.mean_length:,.0f} ({one.cut_off:.0%})",
            *([usd] if wide else []),
        )
    return table


def _paper(rows: Sequence[Sequence[str]]) -> Table:
    table = Table(
        box=None, pad_edge=False, title="\nThe paper's models, Pass@1 (arXiv 2504.15777)", title_justify="left"
    )
    table.caption, table.caption_justify = SETTING, "left"
    (model, *benchmarks), *models = rows
    table.add_column(model)
    for name in benchmarks:
        table.add_column(name, justify="right")
    for row in models:
        table.add_row(*row)
    return table


def _notes(report: Report) -> Iterable[str]:
    for one in report.results:
        if one.too_long:
            yield f"{one.benchmark}, {one.model}: {one.too_long} problems left out, their prompts do not fit the model"
        if one.problems < one.asked:
            yield (
                f"{one.benchmark}, {one.model}: partial ({report.stop_reason}), {one.problems} of {one.asked} "
                "problems; of the last batch those with short completions were finished first"
            )
