"""What a person typed about rewards is found out before anything is paid for."""

from pathlib import Path

import pytest

from tina_lite import load_recipe
from tina_lite.launch.check import check as check_run
from tina_lite.launch.preview import dry_run
from tina_lite.rewards import WeightedReward, known_rewards, resolve, try_rewards
from tina_lite.rewards import scoring as trial_module
from tina_lite.rewards.registry import Reward
from tina_lite.util.errors import BadInput
from tina_lite.util.records import Problem

PROBLEM = Problem(0, "What is 1+1?", "2", {"level": 3})


def tried(function, **changes) -> None:
    try_rewards([WeightedReward(Reward("mine", function, {}), 1.0, **changes)], PROBLEM)


def names_what_is_not_there(completions, **columns):
    return [missing for _ in completions]  # noqa: F821


def wants_a_column(completions, difficulty):
    return [1.0 for _ in completions]


def takes_a_column_by_name(completions, **columns):
    return [float(level) for level in columns["levle"]]


def gives_too_few(completions, **columns):
    return [1.0]


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (names_what_is_not_there, "mine fails on a made-up completion (NameError: name 'missing' is not defined)"),
        (takes_a_column_by_name, "mine fails on a made-up completion (KeyError: 'levle')"),
        (gives_too_few, "mine fails on a made-up completion (ValueError: 1 rewards for 2 completions)"),
        (
            wants_a_column,
            "reward mine: it wants a column difficulty; there are answer, completion_ids, completions, group_ids",
        ),
    ],
)
def test_a_function_that_cannot_work_is_refused(function, said):
    with pytest.raises(BadInput) as caught:
        tried(function)
    assert said in str(caught.value)


def test_one_whose_failures_the_recipe_reckons_with_is_not():
    tried(names_what_is_not_there, on_error=-1.0, may_fail=True)


def test_one_that_is_slow_is_not_held_to_be_wrong(monkeypatch):
    monkeypatch.setattr(trial_module, "TRIAL_S", 0.05)

    def slow(completions, **columns):
        while True:
            pass

    tried(slow)


def test_two_of_one_name_are_refused():
    rewards = [WeightedReward(Reward("mine", gives_too_few, {}), 1.0)] * 2
    with pytest.raises(BadInput, match="a name stands twice in mine, mine"):
        try_rewards(rewards, PROBLEM)


@pytest.mark.parametrize("name", [name for name in known_rewards() if "length_l1" not in name])
def test_ours_pass_with_their_defaults(name):
    needed = {"regex": {"pattern": "a"}}.get(name, {})
    try_rewards([WeightedReward(resolve(name, needed), 1.0)], PROBLEM)


@pytest.mark.parametrize(
    ("rewards", "said"),
    [
        (["length_l1_exact"], "wants a column target_length"),
        ([{"name": "cosine", "max_length": 0}], "max_length"),
        (["a.py:mine", "b.py:mine"], "a name stands twice"),
        (["a.py:other"], "other"),
        (["a.py:broken"], "ZeroDivisionError"),
    ],
)
@pytest.mark.parametrize("check", [check_run, dry_run])
def test_a_recipe_is_refused_before_a_folder_is_made(check, rewards, said, quick_recipe: Path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = "def mine(completions, **columns):\n    return [1.0 for _ in completions]\n"
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text(text + "def broken(completions, **columns):\n    return 1 / 0\n")
    with pytest.raises(BadInput, match=said):
        check(load_recipe(quick_recipe, {"rewards": rewards}))
    assert not (tmp_path / "runs").exists()
