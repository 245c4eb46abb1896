"""A run that learns nothing says so in its log, once, and ends itself with the money left."""

import io

import pytest

from tina_lite import load_recipe, run
from tina_lite.console.lines import PlainConsole
from tina_lite.runs.events import AlarmRaised

NOTHING = "def nothing(completions, **columns):\n    return [0.0] * len(completions)\n"


@pytest.fixture
def hopeless(quick_recipe, tmp_path):
    (tmp_path / "mine.py").write_text(NOTHING)
    changes = {"rewards": [f"{tmp_path}/mine.py:nothing"], "stop.max_steps": 100, "rollout.max_completion_length": 8}
    return lambda **more: load_recipe(quick_recipe, {**changes, **more})


def test_a_flat_reward_is_said_by_step_3_and_the_run_ends_by_step_20(hopeless, tmp_path):
    said, told = io.StringIO(), []
    listeners = [PlainConsole(said), lambda stamped: told.append(stamped.event)]
    summary = run(hopeless(), out=tmp_path / "out", listeners=listeners)
    assert (summary["stop_reason"], summary["steps"]) == ("hopeless", 20)
    alarms = [event for event in told if isinstance(event, AlarmRaised)]
    assert [alarm.step for alarm in alarms if alarm.name == "reward_zero"] == [3], "once, as it never was over"
    line = next(line for line in said.getvalue().splitlines() if "every reward of the last 3 steps is 0" in line)
    assert "alarm: step 3" in line
    assert line.endswith("more: tina-lite docs troubleshooting")
    assert "20 steps in a row had nothing to learn from" in said.getvalue()


def test_a_resume_counts_anew_and_says_nothing_twice(hopeless, tmp_path):
    recipe, told = hopeless(**{"stop.hopeless": 4}), []
    run(recipe, out=tmp_path / "out")
    summary = run(recipe, out=tmp_path / "out", resume=True, listeners=[lambda stamped: told.append(stamped.event)])
    assert (summary["stop_reason"], summary["steps"]) == ("hopeless", 8)
    assert [event.step for event in told if isinstance(event, AlarmRaised) and event.name == "reward_zero"] == []


def test_it_goes_on_where_that_is_wanted(hopeless, tmp_path):
    summary = run(hopeless(**{"stop.hopeless": None, "stop.max_steps": 24}), out=tmp_path / "out")
    assert (summary["stop_reason"], summary["steps"]) == ("max_steps", 24)
