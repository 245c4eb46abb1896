"""One HTML file that holds everything: numbers, pictures, plotly.js. It asks the network for nothing, and may not."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tina_lite.console.text import clean
from tina_lite.errors import BadInput
from tina_lite.health import alarms
from tina_lite.report.figures import figures
from tina_lite.report.paper import beside_the_paper
from tina_lite.report.reading import Run
from tina_lite.report.words import bought, comparison, facts, labels, other_cards, outcome, repeat, versions
from tina_lite.version import VERSION

NEEDED = ("plotly", "jinja2")
WARNINGS_SHOWN = 20


def refuse_missing() -> None:
    """BadInput with the command where a package of the extra `report` is not installed."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise BadInput(f"report: {', '.join(missing)} is not installed; pip install {' '.join(missing)}")


def html_page(runs: Sequence[Run]) -> str:
    """The whole file, for one run or several."""
    refuse_missing()
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    labelled = list(zip(map(clean, labels(runs)), runs, strict=True))
    drawn = figures(labelled)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template("page.html.j2").render(
        title=" and ".join(label for label, _ in labelled[:3]) + (" and more" if len(runs) > 3 else ""),
        told=[_told(label, run) for label, run in labelled],
        comparison=comparison(labelled) if len(runs) > 1 else None,
        figures=drawn,
        specs=_as_json({figure.name: {"data": figure.traces, "layout": figure.layout} for figure in drawn}),
        paper=beside_the_paper(labelled),
        plotly=_plotly_js(),
        made=date.today().isoformat(),
        version=VERSION,
        clean=clean,
        clean_lines=lambda text: "\n".join(map(clean, text.splitlines())),  # a long recipe stays whole
    )


@dataclass(frozen=True, slots=True)
class _Told:
    """What the template says of one run."""

    label: str
    run: Run
    outcome: str
    facts: Any
    bought: Any
    other_cards: Any
    alarms: Any
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
        other_cards=other_cards(run),
        alarms=alarms(run.metrics, [reward for _, reward in run.series("reward")]),
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
    text = json.dumps(_without_nan(specs), ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
