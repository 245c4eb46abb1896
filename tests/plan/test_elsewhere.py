from pathlib import Path

import pytest

from tina_lite.plan.gpus import CARDS_SHOWN, COMPARED, on_other_gpus
from tina_lite.recipe import Recipe, load_recipe
from tina_lite.recipe.file import find_recipe

TOKENS = {"prompt": 360 * 4 * 100, "completion": 360 * 16 * 1500}


@pytest.fixture(autouse=True)
def catalogue_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


@pytest.fixture
def limr() -> Recipe:
    return load_recipe(find_recipe(Path("paper/limr")))


def test_three_cards_that_are_not_the_runs_own(limr: Recipe) -> None:
    shown = [other.gpu for other in on_other_gpus(limr, 360, TOKENS, "NVIDIA L40S")]
    assert len(shown) == CARDS_SHOWN
    assert set(shown) < set(COMPARED) - {"L40S"}
    assert on_other_gpus(limr, 360, TOKENS, None)[1].gpu == "L40S"


def test_the_bill_is_hours_at_the_cheapest_offer(limr: Recipe) -> None:
    first = on_other_gpus(limr, 360, TOKENS, None)[0]
    assert (first.gpu, first.provider) == ("RTX 4090", "vast")
    assert first.usd == pytest.approx(first.hours * 0.40)


def test_steps_and_lengths_are_the_runs_not_the_recipes(limr: Recipe) -> None:
    hours = on_other_gpus(limr, 360, TOKENS, None)[0].hours
    assert on_other_gpus(limr, 36, {name: count // 10 for name, count in TOKENS.items()}, None)[0].hours < 0.2 * hours
    assert on_other_gpus(limr, 360, {**TOKENS, "completion": TOKENS["completion"] // 4}, None)[0].hours < 0.95 * hours


def test_a_budget_does_not_shorten_what_is_reckoned() -> None:
    path = find_recipe(Path("paper/limr"))
    small, large = (load_recipe(path, {"budget.max_usd": usd}) for usd in (0.01, 1000.0))
    assert on_other_gpus(small, 360, TOKENS, None) == on_other_gpus(large, 360, TOKENS, None)


def test_a_run_without_steps_is_compared_with_nothing(limr: Recipe) -> None:
    assert on_other_gpus(limr, 0, {"prompt": 0, "completion": 0}, None) == []
