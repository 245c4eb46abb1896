"""A run that learns nothing says so in its log, once, and ends itself with the money left."""

import io
from dataclasses import replace
from types import SimpleNamespace

import pytest

from tina_lite import load_recipe, run
from tina_lite.console.lines import PlainConsole
from tina_lite.runs.events import AlarmRaised
from tina_lite.runs.health import RULES
from tina_lite.train.alarms import HealthWatch
from tina_lite.util.errors import BadInput

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
    assert "alarm reward_zero, step 3" in line
    assert line.endswith("more: tina-lite docs troubleshooting")
    assert 'for example: asked "' in said.getvalue()
    assert "; nothing gave 0" in said.getvalue() or "; cut off at its length limit" in said.getvalue()
    assert "amiss at the end: reward_zero: every reward of the last 20 steps is 0" in said.getvalue()
    assert "reward_zero" in summary["alarms"]
    assert "20 steps in a row had nothing to learn from" in said.getvalue()


def test_a_resume_counts_anew_and_tells_what_is_amiss_still(hopeless, tmp_path):
    recipe, told = hopeless(**{"stop.hopeless": 4}), []
    run(recipe, out=tmp_path / "out")
    summary = run(recipe, out=tmp_path / "out", resume=True, listeners=[lambda stamped: told.append(stamped.event)])
    assert (summary["stop_reason"], summary["steps"]) == ("hopeless", 8)
    assert [event.step for event in told if isinstance(event, AlarmRaised) and event.name == "reward_zero"] == [5]


def test_it_goes_on_where_that_is_wanted(hopeless, tmp_path):
    summary = run(hopeless(**{"stop.hopeless": None, "stop.max_steps": 24}), out=tmp_path / "out")
    assert (summary["stop_reason"], summary["steps"]) == ("max_steps", 24)


WELL = {"reward": 1.0, "entropy": 0.3, "completions/clipped_ratio": 0.1}
CUT_OFF = WELL | {"completions/clipped_ratio": 1.0}


@pytest.fixture
def watch(tmp_path):
    """A HealthWatch whose session takes down what it is told."""
    told = []
    session = SimpleNamespace(
        folder=SimpleNamespace(path=tmp_path),
        events=SimpleNamespace(emit=told.append),
        warn_once=lambda text, kind: told.append(text),
    )

    def see(rows, **thresholds):
        watch = HealthWatch(session, thresholds, ends_run=True)
        for step, metrics in enumerate(rows, start=1):
            watch.after_step(SimpleNamespace(step=step, metrics=metrics))
        return watch, told

    return see


def test_what_is_over_is_told_too(watch):
    _, told = watch([*[CUT_OFF] * 4, *[WELL] * 12])
    assert [(event.event, event.step, event.name) for event in told] == [
        ("alarm", 3, "clipped"),
        ("alarm_over", 11, "clipped"),
    ]


def test_what_comes_and_goes_is_told_once(watch):
    _, told = watch([*[CUT_OFF] * 4, *[WELL] * 4, *[CUT_OFF] * 4, *[WELL] * 4])
    assert [event.event for event in told] == ["alarm"]


def test_a_collapse_ends_the_run_while_it_lasts(watch):
    assert watch([CUT_OFF] * 3)[0].stop_reason == "collapse"
    assert watch([CUT_OFF] * 3, clipped=None)[0].stop_reason is None
    assert watch([WELL | {"kl": 9.0}] * 9)[0].stop_reason is None, "an alarm that is no collapse"


def test_a_rule_that_raises_is_a_warning_once(watch, monkeypatch):
    monkeypatch.setitem(RULES, "clipped", replace(RULES["clipped"], find=lambda past, most: 1 / 0))
    _, told = watch([CUT_OFF] * 3)
    assert set(told) == {"alarms failed: ZeroDivisionError: division by zero"}


def test_an_alarm_that_there_is_not_is_refused_with_the_one_that_may_be_meant(quick_recipe, tmp_path):
    with pytest.raises(BadInput, match=r"alarms.cliped: there is no such alarm.*clipped"):
        run(load_recipe(quick_recipe, {"alarms.cliped": 0.9}), out=tmp_path / "out")


def test_alarms_change_nothing_that_is_learnt(quick_recipe, tmp_path):
    for name, alarms in (("on", {}), ("off", dict.fromkeys(RULES))):
        run(load_recipe(quick_recipe, {"alarms": alarms}), out=tmp_path / name)
    on, off = ((tmp_path / name / "adapter" / "adapter_model.safetensors").read_bytes() for name in ("on", "off"))
    assert on == off
