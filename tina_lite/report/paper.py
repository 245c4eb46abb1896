"""The paper's own table, to stand beside a run's evaluation.

The file is read here, as the room that it belongs to imports torch, which a page of figures can do without.
"""

import csv
from collections.abc import Sequence
from pathlib import Path

from tina_lite.report.figures import Table
from tina_lite.report.reading import Run

RESULTS = Path(__file__).parents[1] / "evaluate" / "paper_results.csv"
KINDS = ("base", "main")
"""Of its models; the ablations are left out."""


def beside_the_paper(labelled: Sequence[tuple[str, Run]]) -> Table | None:
    """The paper's models and these runs, by benchmark, in percent; None where the table does not ship."""
    try:
        with RESULTS.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError:
        return None
    names = [name for name in rows[0] if name not in ("model", "kind", "average", "source")]
    ours = [(f"this: {label}", *(_measured(run, name) for name in names)) for label, run in labelled]
    theirs = [(row["model"], *(row[name] for name in names)) for row in rows if row["kind"] in KINDS]
    return Table(("model", *names), (*ours, *theirs))


def _measured(run: Run, benchmark: str) -> str:
    """The latest result, with its interval, in percent."""
    found = [m.result for m in (*run.evals, *run.benchmarks) if m.result.benchmark.lower() == benchmark]
    if not found:
        return "-"
    low, high = found[-1].ci95
    return f"{100 * found[-1].pass_at_1:.2f} [{100 * low:.1f}, {100 * high:.1f}]"
