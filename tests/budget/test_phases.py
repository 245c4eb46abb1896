"""Where seconds go, whatever the order in which phases come, nest and fail."""

from contextlib import suppress

import pytest
from fakes import FakeClock
from hypothesis import given
from hypothesis import strategies as st

from tina_lite.budget import Meter, Rate
from tina_lite.util.records import PHASES, PhaseName

SECONDS = st.one_of(st.just(0.0), st.floats(1e-9, 1e-3), st.floats(0.001, 1e4))
NAMES = st.sampled_from(PHASES)


def charged(meter: Meter) -> dict[str, float]:
    return {name: seconds for name, seconds in meter.read().seconds_by_phase.items() if seconds}


@given(st.floats(0, 1e3), st.floats(0, 60), st.lists(st.tuples(NAMES, SECONDS, NAMES, SECONDS, SECONDS), max_size=30))
def test_phases_add_up_to_the_whole_to_the_last_bit(
    age_s: float, rate: float, work: list[tuple[PhaseName, float, PhaseName, float, float]]
) -> None:
    clock = FakeClock(age_s)
    meter = Meter.in_memory(Rate(rate, "test"), clock)
    bill = 0.0
    for outer, before_s, inner, inside_s, between_s in work:
        with meter.phase(outer):
            clock.now += before_s
            with meter.phase(inner):
                clock.now += inside_s
        clock.now += between_s
        reading = meter.read()
        assert sum(reading.seconds_by_phase.values()) == reading.total_s == reading.elapsed_s
        assert sum(reading.usd_by_phase.values()) == reading.usd
        assert min(reading.seconds_by_phase.values()) >= 0.0
        assert reading.total_s == pytest.approx(clock.now)
        assert reading.usd >= bill - 1e-12, "a bill never shrinks"
        bill = reading.usd


def test_what_follows_a_phase_inside_load_is_load_again() -> None:
    clock = FakeClock(1.0)
    meter = Meter.in_memory(Rate(1.0, "test"), clock)
    with meter.phase("load"):
        with meter.phase("save"):
            clock.now += 2.0
        clock.now += 4.0
    clock.now += 8.0
    assert charged(meter) == {"load": 5.0, "save": 2.0, "other": 8.0}


def test_a_phase_that_fails_is_left_all_the_same() -> None:
    clock = FakeClock()
    meter = Meter.in_memory(Rate(1.0, "test"), clock)
    with suppress(ValueError), meter.phase("reward"):
        clock.now += 1.0
        raise ValueError
    clock.now += 2.0
    assert charged(meter) == {"reward": 1.0, "other": 2.0}


def test_a_bill_is_frozen_by_closing_even_inside_a_phase() -> None:
    clock = FakeClock(1.0)
    meter = Meter.in_memory(Rate(1.0, "test"), clock)
    with meter.phase("save"):
        clock.now += 1.0
        meter.close()
        clock.now += 100.0
    assert charged(meter) == {"load": 1.0, "save": 1.0}
    assert meter.elapsed_s() == 2.0


def test_every_phase_stands_in_a_reading() -> None:
    reading = Meter.in_memory(Rate(1.0, "test"), FakeClock(3600.0)).read()
    assert tuple(reading.seconds_by_phase) == tuple(reading.usd_by_phase) == PHASES
    assert (reading.usd, reading.gpu_hours) == (1.0, 1.0)
