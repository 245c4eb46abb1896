"""summary.json: what a run came to."""

from collections.abc import Mapping
from typing import Any

from tina_lite.records import EvalResult


def eval_fields(results: Mapping[str, EvalResult]) -> dict[str, Any] | None:
    """The first benchmark's figures at the top level, the others by name beside them."""
    if not results:
        return None
    first, *others = results.values()
    fields = _figures(first)
    if others:
        fields["others"] = {other.benchmark: _figures(other) for other in others}
    return fields


def _figures(result: EvalResult) -> dict[str, Any]:
    return {
        "benchmark": result.benchmark,
        "pass_at_1": round(result.pass_at_1, 5),
        "ci95": [round(bound, 5) for bound in result.ci95],
        "problems": result.problems,
        "samples": result.samples,
        "mean_length": round(result.mean_length, 2),
    }
