"""The story: loading to 9 s, measuring to 19 s, then 20 steps of 2.5 s, at $0.20/h and at most $0.01 (180 s)."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tina_lite.console.state import LINES_KEPT, ConsoleState, Line, after, with_line
from tina_lite.runs.events import AlarmOver, AlarmRaised, PhaseChanged, Stamped, StepDone

Story = Callable[..., list[Stamped]]
Seen = Callable[[list[Stamped]], ConsoleState]
PER_SECOND = 0.20 / 3600


def test_the_bill_runs_on_between_events(story: Story, seen: Seen) -> None:
    state = seen(story(steps=4))
    assert state.usd_at(29.0) == pytest.approx(29 * PER_SECOND)
    assert state.usd_at(39.0) == pytest.approx(39 * PER_SECOND)
    assert state.elapsed_at(39.0) == 39.0


def test_the_watchers_clock_may_start_anywhere(story: Story) -> None:
    state = ConsoleState()
    for stamped in story(steps=4):
        state = after(state, stamped, now=1e6)
    assert state.elapsed_at(1e6 + 2) == 31.0


def test_a_finished_run_costs_no_more(story: Story, seen: Seen) -> None:
    state = seen(story())
    assert state.usd_at(1e6) == state.usd == pytest.approx(81 * PER_SECOND)
    assert state.forecast(1e6) is None


def test_the_forecast_counts_steps_and_the_evaluation_after_them(story: Story, seen: Seen) -> None:
    forecast = seen(story(steps=4)).forecast(29.0)
    assert forecast is not None
    assert (forecast.ends_by, forecast.steps) == ("steps", 20)
    assert forecast.seconds == pytest.approx(16 * 2.5 + 10)
    assert forecast.usd == pytest.approx(79 * PER_SECOND)


def test_time_left_shrinks_within_a_step_but_not_below_the_steps_after_it(story: Story, seen: Seen) -> None:
    state = seen(story(steps=4))
    left = [forecast.seconds for now in (29.0, 30.0, 31.5, 60.0) if (forecast := state.forecast(now))]
    assert left == pytest.approx([50.0, 49.0, 47.5, 47.5])


@pytest.mark.parametrize(
    ("limits", "ends_by", "seconds", "steps"),
    [
        ({"max_usd": 60 * PER_SECOND}, "money", 31.0, 12),
        ({"ends_at_s": 54.0}, "hours", 25.0, 10),
    ],
)
def test_the_first_limit_to_be_met_ends_the_run(
    story: Story, seen: Seen, limits: dict[str, float], ends_by: str, seconds: float, steps: int
) -> None:
    forecast = seen(story(steps=4, **limits)).forecast(29.0)
    assert forecast is not None
    assert (forecast.ends_by, forecast.steps) == (ends_by, steps)
    assert forecast.seconds == pytest.approx(seconds)


def test_no_forecast_before_the_first_step(story: Story, seen: Seen) -> None:
    state = seen(story(steps=0))
    assert state.forecast(20.0) is None
    assert state.seconds_per_step() is None


def test_a_rate_of_zero_binds_nothing(story: Story, seen: Seen) -> None:
    forecast = seen(story(steps=4, rate=0.0)).forecast(29.0)
    assert forecast is not None
    assert forecast.ends_by == "steps"


def test_dollars_by_phase_add_up_to_the_bill(story: Story, seen: Seen) -> None:
    spent = seen(story(steps=4)).phase_usd_at(31.0)
    assert sum(spent.values()) == pytest.approx(31 * PER_SECOND)
    assert spent["load"] == pytest.approx(9 * PER_SECOND)
    assert spent["rollout"] == pytest.approx(8 * PER_SECOND)
    assert spent["update"] == pytest.approx((4 * 0.5 + 2) * PER_SECOND)


def test_a_resumed_run_takes_up_its_history_at_the_saved_step(story: Story, seen: Seen) -> None:
    again = [Stamped(s.at + 100, s.elapsed_s, s.usd + 0.002, s.event) for s in story(steps=0, resumed_from_step=5)] + [
        Stamped(0.0, 20.0, 0.0035, PhaseChanged("rollout", 6))
    ]
    state = seen(story(steps=8) + again)
    assert (state.history.steps, state.history.number) == (5, 5)
    assert (state.steps_done, state.step) == (5, 6)
    assert state.seconds_per_step() is None
    assert sum(state.phase_usd_at(20.0).values()) < 0.0035


def test_the_budget_pays_for_so_many_steps_more(story: Story, seen: Seen) -> None:
    """At 29 s 151 s are left to the budget, of which the last evaluation takes 10: 141 s are 56 steps of 2.5 s."""
    state = seen(story(steps=4))
    assert state.affordable_steps(29.0) == 56
    assert seen(story(steps=4, max_usd=None)).affordable_steps(29.0) is None
    assert seen(story(steps=0)).affordable_steps(19.0) is None


def test_the_best_completion_so_far_is_kept_and_the_typical_one_is_the_latest(story: Story, seen: Seen) -> None:
    state = seen(story(steps=2))
    step = story(steps=3)[-1].event
    assert isinstance(step, StepDone)
    worse = replace(step.sample, total=0.5, completion="worse")
    state = after(state, Stamped(0.0, 30.0, 0.002, replace(step, sample=worse, typical=None)), now=30.0)
    assert state.best is not None
    assert state.typical is not None
    assert (state.best.step, state.best.sample.total) == (2, 3.0)
    assert (state.typical.step, state.typical.sample.completion) == (3, "worse")


def test_alarms_are_those_that_are_not_over(story: Story, seen: Seen) -> None:
    state = seen(story(steps=2))
    assert state.alarms == ()
    clipped, low = (AlarmRaised(2, name, "so it is", "something else") for name in ("clipped", "reward_low"))
    events = (clipped, low, replace(clipped, step=5, words="worse"), AlarmOver(6, "reward_low"))
    for event in events:
        state = after(state, Stamped(0.0, 30.0, 0.002, event), now=30.0)
    assert [(alarm.name, alarm.words) for alarm in state.alarms] == [("clipped", "worse")]
    started = state.started
    assert started is not None
    assert after(state, Stamped(0.0, 0.0, 0.002, started), now=30.0).alarms == (), "a session tells them anew"


def test_an_event_of_another_kind_changes_nothing_but_the_time(story: Story, seen: Seen) -> None:
    state = seen(story(steps=2))
    later = after(state, Stamped(0.0, 30.0, 0.002, object()), now=30.0)  # type: ignore[arg-type]
    assert later == replace(state, elapsed_s=30.0, usd=0.002, seen_at=30.0)


def test_a_run_that_is_gone_costs_no_more(story: Story, seen: Seen) -> None:
    state = replace(seen(story(steps=4)), gone="killed")
    assert state.usd_at(1e6) == state.usd
    assert state.forecast(1e6) is None


def test_unknown_and_non_finite_metrics_are_left_out(story: Story, seen: Seen) -> None:
    state = seen(story(steps=2))
    step = story(steps=3)[-1]
    assert isinstance(step.event, StepDone)
    broken = StepDone(3, 20, {"reward": float("nan")}, step.event.sample)
    state = after(state, Stamped(0.0, 30.0, 0.002, broken), now=30.0)
    assert len(state.history.series("reward")) == 2
    assert state.latest("reward") is None
    assert state.latest("grad_norm") is None
    assert state.history.series("unheard of") == []


def test_only_the_last_lines_are_kept() -> None:
    state = ConsoleState()
    for index in range(LINES_KEPT + 5):
        state = with_line(state, Line("info", str(index)))
    assert [line.text for line in state.lines] == [str(index) for index in range(5, LINES_KEPT + 5)]
