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
    headings = ["benchmark", "model", "problems", "Pass@1 [95%]", "Pass@k", "majority", "tokens (cut)"]
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
        if one.problems < one.asked:
            yield (
                f"{one.benchmark}, {one.model}: partial ({report.stop_reason}), {one.problems} of {one.asked} "
                "problems; of the last batch those with short completions were finished first"
            )
