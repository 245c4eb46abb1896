"""What two evaluations of a run say together."""

from collections.abc import Mapping
from typing import Any


def gained(evals: Mapping[str, Any]) -> float | None:
    """Pass@1 after less before; None where one is missing, or they are not of as many problems.

    >>> gained({"before": {"pass_at_1": 0.25, "problems": 200}, "after": {"pass_at_1": 0.5, "problems": 20}})
    """
    before, after = (evals.get(when) or {} for when in ("before", "after"))
    if "pass_at_1" not in before or "pass_at_1" not in after or before.get("problems") != after.get("problems"):
        return None
    return float(after["pass_at_1"] - before["pass_at_1"])
