"""Who says what an hour costs, and when a run must end."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tina_lite.budget import Reading, resolve_rate
from tina_lite.budget.limits import Limits, StepForecast
from tina_lite.budget.rates import catalogue, offers_for
from tina_lite.util.errors import BadInput, NoRoom

WATTS = {"watts": 300.0, "usd_per_kwh": 0.30}


@pytest.mark.parametrize(
    ("flag", "recipe", "environment", "card", "expected"),
    [
        ("0.5", 0.4, {"TINA_LITE_RATE": "0.3"}, "NVIDIA L40S", 0.5),
        (None, 0.4, {"TINA_LITE_RATE": "0.3"}, "NVIDIA L40S", 0.4),
        (None, None, {"TINA_LITE_RATE": "0.3"}, "NVIDIA L40S", 0.3),
        (None, None, {}, "NVIDIA L40S", 1.00),
        (None, WATTS, {}, None, 0.09),
        (None, None, {}, None, 0.0),
        ("0", 0.4, {}, None, 0.0),
    ],
)
def test_the_order_of_rates(flag, recipe, environment, card, expected):
    rate = resolve_rate(flag, recipe, environment, card, budget_is_set=False)
    assert rate.usd_per_hour == pytest.approx(expected)
    assert rate.binds == (expected > 0)


@pytest.mark.parametrize("value", ["abc", "nan", "inf", "-1", ""])
def test_a_rate_that_cannot_be(value):
    with pytest.raises(BadInput, match="US dollars per hour"):
        resolve_rate(value, None, {}, None, budget_is_set=True)


@pytest.mark.parametrize("card", [None, "Voodoo 2"])
def test_a_budget_without_a_price_is_refused(card):
    with pytest.raises(BadInput, match="--rate"):
        resolve_rate(None, None, {}, card, budget_is_set=True)


@pytest.mark.parametrize(
    ("driver_says", "gpu"),
    [
        ("NVIDIA GeForce RTX 4090", "RTX 4090"),
        ("NVIDIA GeForce RTX 4070 Ti SUPER", "RTX 4070 Ti SUPER"),
        ("NVIDIA A100-SXM4-40GB", "A100 SXM4 40GB"),
        ("NVIDIA H100 80GB HBM3", "H100 SXM"),
        ("NVIDIA L40S", "L40S"),
    ],
)
def test_cards_are_found_by_their_drivers_name(driver_says, gpu):
    assert offers_for(driver_says)[0].gpu == gpu


def test_a_card_that_only_looks_alike_is_not_found():
    assert offers_for("NVIDIA GeForce RTX 4070") == []
    assert len(catalogue()) > 20


def reading(usd=0.0, total_s=0.0, rate=3.6, elapsed_s=0.0):
    return Reading(usd, elapsed_s, total_s, total_s, rate, {}, {})


@pytest.mark.parametrize(
    ("limits", "step_s", "expected"),
    [
        (Limits(1.0, None, None), 899, None),
        (Limits(1.0, None, None), 901, "max_usd"),
        (Limits(None, 0.5, None), 1701, "max_hours"),
        (Limits(1.0, 0.5, None), 1000, "max_usd"),
        (Limits(1.0, None, 7), 1, "max_steps"),
        (Limits(None, None, None), 1e9, None),
    ],
)
def test_a_step_starts_only_if_it_fits_with_the_reserve(limits, step_s, expected):
    now = reading(usd=0.0, total_s=0.0)
    assert limits.left(now, steps=7).reason_to_stop(step_s + 100) == expected


def test_what_is_left_is_the_nearest_limits():
    left = Limits(0.05, None, None).left(reading(usd=0.02, elapsed_s=12.0))
    assert (left.seconds, left.limit) == (pytest.approx(30), "max_usd")
    left = Limits(None, None, 3).left(reading(), steps=1)
    assert (left.seconds, left.steps, bool(left)) == (inf, 2, False)


def test_a_rate_of_zero_never_binds():
    assert Limits(0.01, None, None).left(reading(rate=0.0)).reason_to_stop(1e9) is None


def test_a_hopeless_budget_says_what_would_do():
    with pytest.raises(NoRoom, match=r"\$0\.0120 or more") as caught:
        Limits(0.01, None, None).refuse_if_hopeless(reading(usd=0.002, total_s=2), 6 + 4)
    assert caught.value.exit_code == 3
    with pytest.raises(NoRoom, match="max_hours"):
        Limits(None, 0.001, None).refuse_if_hopeless(reading(), 6 + 4)


@given(st.lists(st.floats(0.01, 1000), min_size=1, max_size=20))
def test_a_forecast_is_never_below_the_recent_steps(steps):
    forecast = StepForecast()
    assert forecast.next_s() == 0.0
    for seconds in steps:
        forecast.add(seconds)
    assert forecast.next_s() >= max(steps[-8:])
