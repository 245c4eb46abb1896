"""What a provider that bills by the minute or by the hour asks for, and that a budget holds all the same."""

from itertools import count
from pathlib import Path

import pytest
from fakes import FakeClock
from hypothesis import assume, given
from hypothesis import strategies as st

from tina_lite.budget import Meter, Rate, Reading, read_bills, resolve_rate
from tina_lite.budget.ledger import SessionBill
from tina_lite.budget.limits import Limits, StepForecast, eta
from tina_lite.budget.money import FOREVER_S, UNITS_S, affordable_s, billed_s
from tina_lite.util.errors import NoRoom

HOUR = Rate(1.0, "test", UNITS_S["hour"])
UNITS = st.sampled_from(sorted(UNITS_S.values()))
RATES = st.floats(0.01, 60)


@given(st.floats(0, 1e6), UNITS)
def test_a_unit_that_was_begun_is_paid_whole_and_no_other(seconds: float, unit_s: float) -> None:
    assert 0.0 <= billed_s(seconds, unit_s) - seconds <= unit_s
    assert billed_s(billed_s(seconds, unit_s), unit_s) == billed_s(seconds, unit_s)


@given(st.floats(0, 100), RATES, st.floats(0, 1e5), UNITS)
def test_what_is_affordable_costs_no_more_than_is_left(
    usd_left: float, rate: float, elapsed_s: float, unit_s: float
) -> None:
    left_s = affordable_s(usd_left, rate, elapsed_s, unit_s)
    # a hair less, as a sum of floats may end a hair past a whole unit
    end_s = max(elapsed_s, elapsed_s + left_s - 1e-6)
    more_usd = (billed_s(end_s, unit_s) - billed_s(elapsed_s, unit_s)) / 3600 * rate
    assert left_s >= 0.0
    assert more_usd <= usd_left * (1 + 1e-9) + 1e-7


@pytest.mark.parametrize(
    ("billing", "elapsed_s", "usd"), [("second", 61.5, 0.0615), ("minute", 61.5, 0.12), ("hour", 61.5, 3.6)]
)
def test_a_minute_and_a_second_under_each_billing(billing: str, elapsed_s: float, usd: float) -> None:
    rate = resolve_rate("3.6", None, {}, None, budget_is_set=True, billing=billing)
    reading = Meter.in_memory(rate, FakeClock(elapsed_s)).read()
    assert reading.usd == pytest.approx(usd)
    assert sum(reading.usd_by_phase.values()) == pytest.approx(usd)
    assert reading.total_s == elapsed_s, "hours are those that were used"
    assert rate.source == ("--rate" if billing == "second" else f"--rate, billed by the {billing}")


def test_electricity_is_never_rounded_up() -> None:
    rate = resolve_rate(None, {"watts": 300.0, "usd_per_kwh": 0.3}, {}, None, budget_is_set=True, billing="hour")
    assert rate.unit_s == 0.0


def test_each_session_is_rounded_up_by_itself_and_by_its_own_unit(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    for rate in (HOUR, Rate(1.0, "test", UNITS_S["minute"]), Rate(1.0, "test")):
        clock = FakeClock()
        meter = Meter.open(path, rate, clock=clock, heartbeat_s=1000)
        clock.now = 90.0
        meter.close()
    assert [bill.usd for bill in read_bills(path)] == pytest.approx([1.0, 2 / 60, 90 / 3600])


@pytest.mark.parametrize(
    ("earlier_s", "max_hours", "left_s"), [(1800.0, 2.0, 3599.0), (0.0, 1.5, 3599.0), (0.0, 0.5, -1.0)]
)
def test_max_hours_are_those_that_are_billed(earlier_s: float, max_hours: float, left_s: float) -> None:
    earlier = [SessionBill(1, 1.0, {"load": earlier_s}, HOUR.unit_s)] if earlier_s else []
    reading = Meter.in_memory(HOUR, FakeClock(1.0), earlier).read()
    left = Limits(max_hours=max_hours).left(reading)
    assert (left.seconds, left.limit) == (pytest.approx(left_s), "max_hours")


def test_an_hour_more_is_not_begun_where_the_budget_does_not_hold_it() -> None:
    rules = Limits(1.5, None, None)
    started = Meter.in_memory(HOUR, FakeClock(1.0)).read()
    assert rules.left(started).reason_to_stop(3500) is None
    assert rules.left(started).reason_to_stop(3600) == "max_usd"
    assert rules.left(started).seconds == pytest.approx(3599)


def test_a_budget_below_one_unit_is_refused_with_the_price_of_the_unit() -> None:
    reading = Meter.in_memory(HOUR, FakeClock(1.0)).read()
    with pytest.raises(NoRoom, match=r"at \$1\.00/h: needs \$1\.00 or more"):
        Limits(0.9, None, None).refuse_if_hopeless(reading, 6.0)
    Limits(1.0, None, None).refuse_if_hopeless(reading, 6.0)


def test_tenths_that_binary_fractions_cannot_hold_buy_the_unit_that_they_pay_for() -> None:
    """0.3 - 0.2 is a little less than 0.1."""
    reading = Reading(0.2, 3600.0, 7200.0, 7200.0, 0.1, {}, {}, unit_s=3600.0)
    assert reading.affordable_s(0.3) == 3600.0


@given(
    st.lists(st.floats(0.1, 900), min_size=1, max_size=20),
    RATES,
    st.floats(0.0, 100),
    st.floats(0.001, 50),
    UNITS,
    st.integers(1, 3),
)
def test_no_run_of_any_number_of_sessions_passes_its_budget(
    steps: list[float], rate: float, reserve_s: float, max_usd: float, unit_s: float, sessions: int
) -> None:
    """Steps take no longer than was foreseen. Each session is begun only where the rules let it."""
    rules, longest_s, earlier = Limits(max_usd, None, None), max(steps), []
    for _ in range(sessions):
        clock = FakeClock()
        meter = Meter.in_memory(Rate(rate, "test", unit_s), clock, earlier)
        clock.now = 0.5
        try:
            rules.refuse_if_hopeless(meter.read(), longest_s + reserve_s)
        except NoRoom:
            break
        for done, step_s in zip(count(), steps):
            if rules.left(meter.read(), steps=done).reason_to_stop(longest_s + reserve_s):
                break
            clock.now += step_s
        clock.now += max(0.0, reserve_s - 1e-6)
        assert meter.read().usd <= max_usd * (1 + 1e-9) + 1e-7
        meter.close()
        earlier = [*earlier, meter.bill()]


@given(RATES, st.floats(0, 1e4), st.floats(1, 1e4), st.floats(0, 100), UNITS)
def test_a_budget_that_is_refused_names_one_that_is_not(
    rate: float, spent_s: float, step_s: float, reserve_s: float, unit_s: float
) -> None:
    now = Meter.in_memory(Rate(rate, "test", unit_s), FakeClock(spent_s)).read()
    with pytest.raises(NoRoom) as refused:
        Limits(1e-6, None, None).refuse_if_hopeless(now, step_s + reserve_s)
    advised = float(str(refused.value).split("needs ")[1].split(" or more")[0].replace("$", "").replace(",", ""))
    Limits(advised * (1 + 1e-8), None, None).refuse_if_hopeless(now, step_s + reserve_s)


@given(st.floats(0.1, 900), RATES, st.floats(0, 100), st.floats(0.01, 50), UNITS, st.floats(0, 1e4))
def test_the_bill_that_is_foreseen_keeps_the_budget(
    step_s: float, rate: float, reserve_s: float, max_usd: float, unit_s: float, spent_s: float
) -> None:
    forecast = StepForecast()
    forecast.add(step_s)
    now = Meter.in_memory(Rate(rate, "test", unit_s), FakeClock(spent_s)).read()
    seen = eta(forecast, Limits(max_usd, None, None).left(now, steps=0), now, reserve_s)
    assert seen is not None
    assume(seen.steps > 0)
    assert seen.usd <= max_usd * (1 + 1e-9) + 1e-7


@given(st.floats(1e-300, 1e308), st.floats(5e-324, 1e308), st.sampled_from(sorted(UNITS_S.values())))
def test_no_price_is_beyond_reckoning(usd_left: float, rate: float, unit_s: float) -> None:
    """Whoever asks for how many steps that is makes a whole number of it."""
    assert affordable_s(usd_left, rate, 10.0, unit_s) <= FOREVER_S + 3600
