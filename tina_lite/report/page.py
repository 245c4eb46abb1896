"""One HTML file that holds everything: numbers, pictures, plotly.js. It asks the network for nothing, and may not."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tina_lite.console.text import clean
from tina_lite.eval.tables import PAPER_BENCHMARKS, paper_models
from tina_lite.report.figures import Figure, Table, figures
from tina_lite.report.read import Run
from tina_lite.report.words import bought, comparison, facts, labels, outcome, repeat, versions
from tina_lite.util.errors import BadInput
from tina_lite.util.records import without_nan
from tina_lite.version import VERSION


def beside_the_paper(labelled: Sequence[tuple[str, Run]]) -> Table:
    """The paper's models and these runs, by benchmark, in percent."""
    names = PAPER_BENCHMARKS
    ours = [(f"this: {label}", *(_measured(run, name) for name in names)) for label, run in labelled]
    theirs = [(one.model, *(f"{100 * one.pass_at_1[name]:.2f}" for name in names)) for one in paper_models()]
    return Table(("model", *names), (*ours, *theirs))


def _measured(run: Run, benchmark: str) -> str:
    """The latest result, with its interval, in percent."""
    found = [m.result for m in (*run.evals, *run.benchmarks) if m.result.benchmark.lower() == benchmark]
    if not found:
        return "-"
    low, high = found[-1].ci95
    return f"{100 * found[-1].pass_at_1:.2f} [{100 * low:.1f}, {100 * high:.1f}]"


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


NEEDED = ("plotly", "jinja2")
WARNINGS_SHOWN = 20


def refuse_missing() -> None:
    """BadInput with the command where a package of the extra `report` is not installed."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise BadInput(f"report: {', '.join(missing)} is not installed; pip install {' '.join(missing)}")


def html_page(runs: Sequence[Run]) -> str:
    """The whole file, for one run or several."""
    labelled = list(zip(map(clean, labels(runs)), runs, strict=True))
    return render(
        "page.html.j2",
        figures(labelled),
        title=" and ".join(label for label, _ in labelled[:3]) + (" and more" if len(runs) > 3 else ""),
        told=[_told(label, run) for label, run in labelled],
        comparison=comparison(labelled) if len(runs) > 1 else None,
        paper=beside_the_paper(labelled),
        clean_lines=lambda text: "\n".join(map(clean, text.splitlines())),  # a long recipe stays whole
    )


def render(template: str, drawn: Sequence[Figure], **values: Any) -> str:
    """A page with its pictures, by one of the templates that extend layout.html.j2."""
    refuse_missing()
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template(template).render(
        figures=drawn,
        specs=_as_json({figure.name: {"data": figure.traces, "layout": figure.layout} for figure in drawn}),
        plotly=_plotly_js(),
        made=date.today().isoformat(),
        version=VERSION,
        clean=clean,
        **values,
    )


@dataclass(frozen=True, slots=True)
class _Told:
    """What the template says of one run."""

    label: str
    run: Run
    outcome: str
    facts: Any
    bought: Any
    warnings: tuple[str, ...]
    versions: Any
    repeat: str


def _told(label: str, run: Run) -> _Told:
    warnings = tuple(notice.text for notice in run.notices if notice.level == "warning")
    return _Told(
        label=label,
        run=run,
        outcome=outcome(run),
        facts=facts(run),
        bought=bought(run),
        warnings=warnings[-WARNINGS_SHOWN:],
        versions=versions(run),
        repeat=repeat(run),
    )


def _plotly_js() -> str:
    """The library as the package plotly ships it, without importing that."""
    spec = find_spec("plotly")
    assert spec is not None
    for folder in spec.submodule_search_locations or ():
        path = Path(folder) / "package_data" / "plotly.min.js"
        if path.is_file():
            return path.read_text(encoding="utf-8")
    raise BadInput("report: this plotly ships no plotly.min.js; pip install 'plotly>=5'")


def _as_json(specs: Mapping[str, Any]) -> str:
    """For a script element: nothing in it can end that element, and NaN, which JSON lacks, becomes null."""
    text = json.dumps(without_nan(specs), ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
