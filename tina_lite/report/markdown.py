"""A report as Markdown, for a model card: the outcome, the numbers, how to repeat it. No samples, no pictures."""

from collections.abc import Sequence

from tina_lite.report.figures import Table, figures
from tina_lite.report.reading import Run
from tina_lite.report.words import bought, comparison, labels, outcome, repeat, versions


def markdown_text(runs: Sequence[Run]) -> str:
    """The whole text; several runs get a table of comparison first."""
    labelled = list(zip(labels(runs), runs, strict=True))
    parts = [_table(comparison(labelled))] if len(runs) > 1 else []
    for label, run in labelled:
        parts += [f"## {_cell(label)}", outcome(run)]
        for figure in figures([(label, run)]):
            if figure.name in ("evaluation", "money"):
                parts += [f"### {figure.title}", _table(figure.table)]
        facts = [*bought(run), *versions(run)]
        parts += ["### Made with", _table(Table(("what", "value"), tuple(facts)))]
        if run.recipe_yaml:
            parts += ["### How to repeat it", f"recipe.yaml:\n\n{_fenced(run.recipe_yaml, 'yaml')}"]
        parts.append(_fenced(repeat(run), "sh"))
    return "\n\n".join(parts) + "\n"


def _table(table: Table) -> str:
    lines = [table.heads, tuple("---" for _ in table.heads), *table.rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(text: str) -> str:
    """One line that is neither markup nor the end of its cell."""
    for mark in "\\`|<>*_[]#":
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())


def _fenced(text: str, language: str) -> str:
    """In a fence that the text itself cannot end."""
    longest = max((len(run) for run in "".join(c if c == "`" else " " for c in text).split()), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"
