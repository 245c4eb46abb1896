"""How much is left is computed in one place, `Limits.left`, and whoever needs to know asks there."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import FakeClock

from tina_lite import load_recipe
from tina_lite.budget import Meter, Rate
from tina_lite.budget.ledger import SessionBill
from tina_lite.budget.limits import EVAL_SHARE, SAVE_RESERVE_S, Deadlines, Left, Limits
from tina_lite.console.state import ConsoleState, after
from tina_lite.eval.session import CLOSING_S, Evaluation
from tina_lite.plan.planner import _steps
from tina_lite.recipe.schema import RolloutSection
from tina_lite.runs.events import RunStarted, Stamped
from tina_lite.runs.session import StopRequest

RATE = Rate(0.20, "test")
SECONDS = 7.0


def test_all_that_need_to_know_ask_one_function(
    quick_recipe: Path,
    tmp_path: Path,
    story: Callable[..., list[Stamped]],
    seen: Callable[[list[Stamped]], ConsoleState],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from tina_lite.eval.manifest import SamplingParams

    monkeypatch.setattr(Limits, "left", lambda *_, **__: Left(SECONDS, "max_usd", 9, 50))
    clock = FakeClock()
    meter = Meter.in_memory(RATE, clock)
    deadlines = Deadlines(meter, Limits(max_tokens=100), lambda: False)
    with deadlines.step():
        clock.now += 3.0
    assert deadlines.reason_to_stop() == "max_usd"
    assert deadlines.reason_to_stop(step_tokens=51) == "max_tokens"
    assert deadlines.out_of_time(reserve_s=SECONDS)()
    assert not deadlines.out_of_time(reserve_s=SECONDS - 0.1)()
    assert deadlines.scoring_may_take_s(rollout_s=0.5) == SECONDS - SAVE_RESERVE_S - 2 * 0.5
    assert deadlines.eval_share_s() == pytest.approx(EVAL_SHARE * (SECONDS - SAVE_RESERVE_S))
    assert deadlines.lr_progress(0.1, started_s=0.0, step_tokens=1) == 1.0
    ahead = deadlines.eta()
    assert ahead is not None
    assert ahead.steps == 0
    state = seen(story(steps=4))
    forecast = state.forecast(29.0)
    assert forecast is not None
    assert forecast.seconds == SECONDS
    assert state.affordable_steps(29.0) == 0
    assert _steps(load_recipe(quick_recipe), RATE, planned=10, step_s=2.0, other_s=1.0) == (3, "max_usd")
    asked = SamplingParams(1, RolloutSection())
    evaluation = Evaluation(tmp_path, [], asked, meter, Limits(), StopRequest(), lambda *_: None)
    assert evaluation._out_of_time(SECONDS - CLOSING_S)
    assert not evaluation._out_of_time(SECONDS - CLOSING_S - 0.1)


def test_after_a_resume_the_picture_has_as_many_seconds_as_the_rule(story: Callable[..., list[Stamped]]) -> None:
    """Of one hour 50 minutes were used, and the new session is 66 s old."""
    limits, meter = (
        Limits(max_hours=1.0),
        Meter.in_memory(RATE, FakeClock(66.0), [SessionBill(1, 0.2, {"load": 3000.0})]),
    )
    left = Deadlines(meter, limits, lambda: False).left()
    assert (left.seconds, left.limit) == (pytest.approx(534.0), "max_hours")
    begun = story(steps=0)[0]
    assert isinstance(begun.event, RunStarted)
    started = replace(begun.event, max_usd=None, max_steps=None, max_hours=1.0, ends_at_s=66.0 + left.seconds)
    state = after(ConsoleState(), replace(begun, event=started, elapsed_s=66.0), now=66.0)
    forecast = state.forecast(66.0)
    assert forecast is not None
    assert (forecast.seconds, forecast.ends_by) == (pytest.approx(534.0), "hours")
