"""What fields of the recipe spared a run is told at its end, at the run's own prices, over resumes too."""

import io
import json

import pytest

from tina_lite import load_recipe, run
from tina_lite.console.lines import PlainConsole

HALF = {"grpo.update_completions": 2, "optim.learning_rate": 0.0}


def all_told(folder, name):
    return sum(json.loads(line).get(name, 0) for line in (folder / "metrics.jsonl").read_text().splitlines())


@pytest.fixture
def half(quick_recipe, tmp_path):
    said = io.StringIO()
    run(load_recipe(quick_recipe, {**HALF, "stop.max_steps": 2}), out=tmp_path / "half")
    changes = {**HALF, "stop.max_steps": 4}
    told = [PlainConsole(said)]
    summary = run(
        load_recipe(quick_recipe, changes), out=tmp_path / "half", resume=True, force_recipe=True, listeners=told
    )
    return summary, said.getvalue()


def test_tokens_that_an_update_left_out_are_those_that_it_would_have_trained_on(half, quick_recipe, tmp_path):
    summary, _ = half
    whole = run(
        load_recipe(quick_recipe, {**HALF, "grpo.update_completions": None, "stop.max_steps": 4}), out=tmp_path / "a"
    )
    spared = summary["not_spent"]["grpo.update_completions"]
    assert spared["tokens"] == all_told(tmp_path / "half", "update/tokens_saved")
    assert spared["tokens"] + summary["tokens"]["trained"] == whole["tokens"]["trained"]
    assert "not_spent" not in whole


def test_they_cost_what_the_others_did(half):
    summary, said = half
    spared = summary["not_spent"]["grpo.update_completions"]
    share = spared["tokens"] / summary["tokens"]["trained"]
    assert spared["usd"] == pytest.approx(summary["usd_by_phase"]["update"] * share)
    assert "not spent: about $" in said
    assert f"by grpo.update_completions, {spared['tokens']:,} tokens" in said
