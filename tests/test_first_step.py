"""A budget that cannot pay for one step is refused before anything is loaded, where that can be known."""

import json
from pathlib import Path

import pytest
from fakes import FakeClock

from tina_lite import Recipe, load_recipe
from tina_lite.budget import Meter, Rate
from tina_lite.budget.limits import Limits
from tina_lite.launch import planning
from tina_lite.launch.planning import plan_at_once, refuse_first_step
from tina_lite.plan import Plan, device, newest_measured
from tina_lite.recipe import to_yaml
from tina_lite.util.errors import NoRoom

RATE = Rate(3600.0, "test")
"""A second costs a dollar."""


pytestmark = pytest.mark.usefixtures("known_cpu")


@pytest.fixture
def recipe(quick_recipe: Path) -> Recipe:
    """Of a model whose step takes minutes there."""
    return load_recipe(quick_recipe, {"model.id": "Qwen/Qwen2.5-1.5B"})


def planned(recipe: Recipe, runs: Path) -> Plan:
    plan = plan_at_once(recipe, RATE, 3, 100, newest_measured(runs, recipe.name))
    assert plan is not None
    return plan


def warnings(recipe: Recipe, runs: Path, limits: Limits) -> tuple[str, ...]:
    reading = Meter.in_memory(RATE, FakeClock()).read()
    return refuse_first_step(planned(recipe, runs), recipe, limits, reading, newest_measured(runs, recipe.name))


def test_too_little_is_refused_scarce_is_warned_of_and_enough_is_neither(recipe: Recipe, tmp_path: Path) -> None:
    best, _ = planned(recipe, tmp_path).span or ()
    needed_s = best.load_s + best.step.total
    with pytest.raises(NoRoom, match=r"^max_usd 12 is too small for one step at \$3,600\S*: needs \$\d+\S* or more"):
        warnings(recipe, tmp_path, Limits(max_usd=12.0))
    with pytest.raises(NoRoom, match=r"raise --max-hours$"):
        warnings(recipe, tmp_path, Limits(max_hours=12 / 3600))
    (said,) = warnings(recipe, tmp_path, Limits(max_usd=0.9 * needed_s))
    assert said.startswith(f"the first step may not fit: loading and one step take {needed_s:.0f} s at best")
    assert warnings(recipe, tmp_path, Limits(max_usd=needed_s + 10)) == ()
    assert warnings(recipe, tmp_path, Limits(max_steps=1)) == ()


def test_what_the_refusal_advises_is_taken(recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(NoRoom) as refused:
        warnings(recipe, tmp_path, Limits(max_usd=12.0))
    advised = float(str(refused.value).split("needs $")[1].split()[0].replace(",", ""))
    assert len(warnings(recipe, tmp_path, Limits(max_usd=advised))) == 1, "a warning, no refusal"


def test_an_earlier_run_of_the_name_is_better_known(recipe: Recipe, tmp_path: Path) -> None:
    folder = tmp_path / recipe.name
    folder.mkdir()
    (folder / "recipe.yaml").write_text(to_yaml(recipe))
    (folder / "ledger.jsonl").touch()
    started = {"event": "run_started", "device": device.find_device(planned(recipe, tmp_path).shape).name}
    (folder / "events.jsonl").write_text(json.dumps(started))
    step = {"step_time": 2000.0, "tokens_per_second": 1.0, "num_tokens": 2000, "completions/mean_length": 12.0}
    (folder / "metrics.jsonl").write_text(json.dumps({**step, "peak_bytes": 10**9}))
    with pytest.raises(NoRoom, match="too small for one step"):
        warnings(recipe, tmp_path, Limits(max_usd=1800.0))
    assert warnings(recipe, tmp_path, Limits(max_usd=2000.0)) == ()


def test_a_cpu_that_nobody_measured_and_a_model_without_config_refuse_nothing(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = recipe.model_copy(update={"model": recipe.model.model_copy(update={"id": str(tmp_path)})})
    assert plan_at_once(elsewhere, RATE, 3, 100, None) is None
    monkeypatch.setattr(planning, "known_cpu_speed", lambda hidden, intermediate: None)
    assert plan_at_once(recipe, RATE, 3, 100, None) is None
