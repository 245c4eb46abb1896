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


def test_the_card_loads_the_base_as_the_figures_were_measured() -> None:
    from tina_lite.runs.summary import model_card

    summary = {
        "name": "mine", "version": "0", "steps": 3, "stop_reason": "max_steps", "usd": 1.0, "gpu_hours": 1.0,
        "rate": 1.0, "seed": 1, "eval": {"before": None, "after": None},
    }  # fmt: skip
    cards = {
        kind: model_card(summary, base="some/base", data="d", quantization=kind, rewards=["r"], device="c")
        for kind in ("nf4", "none")
    }
    for quantization, card in cards.items():
        code = card.split("```python\n")[1].split("```")[0]
        compile(code, "card", "exec")
        assert ("load_in_4bit=True" in code) == (quantization == "nf4")
        assert ("BitsAndBytesConfig" in code.splitlines()[1]) == (quantization == "nf4")
