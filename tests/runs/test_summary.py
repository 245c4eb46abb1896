from typing import Any

import pytest

from tina_lite.runs.summary import per_dollar

SUMMARY: dict[str, Any] = {
    "usd": 0.25,
    "eval": {"before": {"pass_at_1": 0.25}, "after": {"pass_at_1": 0.5}},
    "reward": {"first": 1.0, "last": 1.5},
    "tokens": {"completion": 500},
}


def test_gains_are_divided_by_the_bill() -> None:
    assert per_dollar(SUMMARY) == {"points": 100.0, "reward": 2.0, "tokens": 2000.0}


@pytest.mark.parametrize(
    ("changes", "unknown"),
    [
        ({"eval": {"before": {"pass_at_1": 0.25}, "after": None}}, {"points"}),
        ({"reward": {"first": None, "last": None}}, {"reward"}),
        ({"usd": 0.0}, {"points", "reward", "tokens"}),
    ],
)
def test_what_was_not_measured_or_cost_nothing_is_none(changes: dict[str, Any], unknown: set[str]) -> None:
    found = per_dollar(SUMMARY | changes)
    assert {name for name, value in found.items() if value is None} == unknown
