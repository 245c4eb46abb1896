"""What the paper's models reached (paper_results.csv): zero-shot Pass@1 in percent, one number without an interval.

Measured there by lighteval with vLLM at temperature 0.6, top-p 0.95 and up to 32,768 new tokens; a run of ours with a
smaller limit is not the same measurement. AIME has 30 problems: one more or less is 3.33 points.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

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
    """In the order of the paper's tables.

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
