from collections.abc import Sequence
from itertools import repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tina_lite.budget import Reading
from tina_lite.budget.limits import Eta, Limits, StepForecast, eta
from tina_lite.util.errors import NoRoom

STEPS = st.lists(st.floats(0, 1000), min_size=1, max_size=20)
RATES = st.floats(0.01, 60)
RESERVE = st.floats(0, 100)


def fed(steps: Sequence[float]) -> StepForecast:
    forecast = StepForecast()
    for seconds in steps:
        forecast.add(seconds)
    return forecast


def reading(seconds: float = 0.0, rate: float = 3.6) -> Reading:
    return Reading(seconds / 3600 * rate, seconds, seconds, seconds, rate, {}, {})


@given(STEPS, st.floats(1, 10))
def test_slower_steps_never_give_a_quicker_forecast(steps: list[float], factor: float) -> None:
    assert fed([seconds * factor for seconds in steps]).next_s() >= fed(steps).next_s() >= 0.0


@given(st.floats(0, 1000), STEPS)
def test_what_is_long_ago_is_forgotten(first: float, later: list[float]) -> None:
    recent = [*later, *[1.0] * 8]
    assert fed([first, *recent]).next_s() == fed(recent).next_s() == pytest.approx(1.1)


def test_an_outlook_worked_by_hand() -> None:
    """At a tenth of a cent a second, 100 s are left. 10 for closing and 11 for the last, cautious step leave 79."""
    limits = Limits(max_usd=0.15, max_hours=None, max_steps=None)
    assert eta(fed([10.0, 10.0]), limits.left(reading(50.0), steps=0), reading(50.0), 10.0) == Eta(8, 90.0, usd=0.14)


def test_steps_bound_an_outlook_where_nothing_else_does() -> None:
    forecast = fed([2.0])
    assert eta(forecast, Limits(None, None, 10).left(reading(rate=0.0), steps=4), reading(rate=0.0), 1.0) == Eta(
        6, 13.0, 0.0
    )
    assert eta(forecast, Limits(9.0, None, 10).left(reading(), steps=4), reading(), 1.0) == Eta(6, 13.0, usd=0.013)


def test_there_is_no_outlook_before_a_step_was_measured_nor_without_a_limit() -> None:
    assert eta(fed([]), Limits(1.0, None, 5).left(reading(), steps=0), reading(), 1.0) is None
    assert eta(fed([1.0]), Limits(None, None, None).left(reading(), steps=0), reading(), 1.0) is None
    assert eta(fed([1.0]), Limits(1.0, None, None).left(reading(rate=0.0), steps=0), reading(rate=0.0), 1.0) is None


@given(STEPS, RATES, RESERVE, st.floats(0, 1e4), st.floats(0.01, 10), st.floats(0, 10))
def test_an_outlook_keeps_the_budget_and_grows_with_it(
    steps: list[float], rate: float, reserve_s: float, spent_s: float, usd: float, more_usd: float
) -> None:
    forecast, now = fed(steps), reading(spent_s, rate)
    seen = eta(forecast, Limits(usd, None, None).left(now, steps=0), now, reserve_s)
    later = eta(forecast, Limits(usd + more_usd, None, None).left(now, steps=0), now, reserve_s)
    assert seen is not None
    assert later is not None
    assert 0 <= seen.steps <= later.steps
    assert seen.steps == 0 or seen.usd <= usd * (1 + 1e-9)


@given(st.lists(st.floats(0.1, 50), min_size=1, max_size=200), RATES, RESERVE, st.floats(0.001, 1))
def test_a_run_whose_steps_take_no_longer_than_forecast_never_passes_its_budget(
    steps: list[float], rate: float, reserve_s: float, usd: float
) -> None:
    rules, forecast, seconds = Limits(usd, None, None), fed([max(steps)]), 0.0
    for done, step_s in enumerate(steps):
        if rules.left(reading(seconds, rate), steps=done).reason_to_stop(forecast.next_s() + reserve_s):
            break
        seconds += step_s
        forecast.add(max(steps))
    closed = reading(seconds + reserve_s, rate)
    assert closed.usd <= usd * (1 + 1e-9) or seconds == 0.0


def test_an_even_run_makes_the_steps_that_were_foreseen() -> None:
    limits, forecast, seconds, done = Limits(0.1, None, None), fed([2.0]), 7.0, 0
    seen = eta(forecast, limits.left(reading(seconds), steps=0), reading(seconds), 5.0)
    for step_s in repeat(2.0):
        if limits.left(reading(seconds), steps=done).reason_to_stop(forecast.next_s() + 5.0):
            break
        done, seconds = done + 1, seconds + step_s
    assert seen is not None
    assert done == seen.steps == 43


@given(st.floats(0.1, 60), st.floats(0, 1e4), st.floats(1, 1e4), RESERVE, st.booleans())
def test_a_limit_that_is_refused_names_one_that_is_not(
    rate: float, spent_s: float, step_s: float, reserve_s: float, in_usd: bool
) -> None:
    now = reading(spent_s, rate)

    def rules(limit: float) -> Limits:
        return Limits(limit, None, None) if in_usd else Limits(None, limit, None)

    with pytest.raises(NoRoom) as refused:
        rules(1e-6).refuse_if_hopeless(now, step_s + reserve_s)
    message = str(refused.value)
    assert message.endswith("raise --max-usd" if in_usd else "raise --max-hours")
    advised = float(message.split("needs ")[1].split(" or more")[0].replace("$", "").replace(",", ""))
    rules(advised * (1 + 1e-9)).refuse_if_hopeless(now, step_s + reserve_s)
