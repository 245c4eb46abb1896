"""A sweep file becomes trials, each with a recipe that is checked before anything is spent."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tina_lite.sweep.file import RangeSection, label_of, read_sweep, trials_of
from tina_lite.util.errors import BadInput

BUDGET = "budget: {max_usd: 1.0, rate: 0.2}\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "sweep.yaml"
    path.write_text(f"recipe: quickstart\n{BUDGET}{text}")
    return path


def test_a_grid_goes_through_all_with_every_seed(tmp_path: Path) -> None:
    path = written(tmp_path, "grid: {optim.learning_rate: [5.0e-4, 1.0e-3], lora.r: [8, 16]}\nseeds: [1, 2, 3]\n")
    trials = trials_of(read_sweep(path), path)
    assert [trial.number for trial in trials] == list(range(1, 13))
    assert {(t.recipe.optim.learning_rate, t.recipe.lora.r, t.recipe.seed) for t in trials} == {
        (lr, r, seed) for lr in (5e-4, 1e-3) for r in (8, 16) for seed in (1, 2, 3)
    }
    assert [trial.setting for trial in trials] == [n // 3 for n in range(12)]
    assert len({trial.folder for trial in trials}) == 12
    assert trials[0].folder == "001-learning_rate=0.0005-r=8-seed=1"


def test_without_changes_the_seeds_are_the_trials(tmp_path: Path) -> None:
    path = written(tmp_path, "seeds: [7, 8]\n")
    assert [(t.label, t.seed) for t in trials_of(read_sweep(path), path)] == [("as it is", 7), ("as it is", 8)]


def test_what_is_drawn_is_drawn_again_the_same(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "random: {settings: 5, fields: {optim.learning_rate: {min: 1.0e-4, max: 1.0e-2, log: true}, lora.r: [4, 8]}}\n",
    )
    once, again = ([dict(t.changes) for t in trials_of(read_sweep(path), path)] for _ in range(2))
    assert once == again
    assert len({one["optim.learning_rate"] for one in once}) == 5


@given(st.floats(1e-6, 1.0), st.floats(1.01, 100.0), st.integers(), st.booleans())
def test_a_draw_lies_between_its_bounds(low: float, times: float, seed: int, log: bool) -> None:
    import random

    found = RangeSection(min=low, max=low * times, log=log).draw(random.Random(seed))
    assert low * 0.999 <= found <= low * times * 1.001


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("grid: {optim.learning_rte: [1]}\n", "did you mean learning_rate"),
        ("grid: {seed: [1, 2]}\n", "seed: is set by the sweep itself"),
        ("grid: {lora.r: [8, 8]}\n", "two settings are the same"),
        ("grid: {lora.r: [1, 2]}\nsettings: [{lora.r: 3}]\n", "one of grid, random and settings"),
        ("grid: {lora.r: []}\n", "grid"),
        ("sceduler: none\n", "sceduler"),
        ("seeds: [1]\ngrid: {lora.r: [0]}\n", "lora.r: got 0"),
    ],
)
def test_a_mistake_is_said_before_anything_is_spent(tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(BadInput, match=said):
        trials_of(read_sweep(path), path)


def test_fields_of_one_name_are_told_apart() -> None:
    assert label_of({"model.id": "a", "data.id": 3}) == "model.id=a data.id=3"
