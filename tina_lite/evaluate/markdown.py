"""An evaluation as a page of Markdown: results.md."""

from collections.abc import Iterable, Iterator, Sequence

from tina_lite.budget.money import format_usd
from tina_lite.console.text import clean, format_share
from tina_lite.evaluate.paper import SETTING
from tina_lite.evaluate.report import Report, counted, in_words, paper_rows, shown
from tina_lite.evaluate.scoring import Result

HEADINGS = ("benchmark", "model", "problems", "Pass@1 [95%]", "Pass@k", "majority", "tokens", "cut off", "dollars")


def markdown(report: Report) -> str:
    """Results with their intervals, comparisons in words, and the paper's models beside them."""
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
