"""lr_horizon: budget. The schedule is laid out over the limit that binds, and is done in the last step."""

import random

import pytest
from fakes import FakeClock
from hypothesis import given
from hypothesis import strategies as st

from tina_lite.budget import Meter, Rate
from tina_lite.budget.limits import Deadlines, Limits

RATE = Rate(3.6, "test")
"""A second costs a thousandth of a dollar."""


def horizons(limits: Limits, dice: random.Random, step_s: float, jitter: float, by_steps: float = 0.0) -> list[float]:
    """Of each step of a run whose steps take `step_s` and 100 tokens, give or take a share of `jitter`."""
    clock = FakeClock(4.0)
    found: list[float] = []
    tokens, most = 0, 0
    deadlines = Deadlines(Meter.in_memory(RATE, clock), limits, lambda: False, used=lambda: (len(found), tokens))
    while not deadlines.reason_to_stop(most):
        factor = dice.uniform(1 - jitter, 1 + jitter)
        with deadlines.step():
            clock.now += 0.6 * step_s * factor
            progress = deadlines.lr_progress(by_steps * (len(found) + 1), 4.0, most)
            clock.now += 0.4 * step_s * factor
        deadlines.timings.took("update", 0.4 * step_s * factor)
        found.append(max(0.0, *found[-1:], progress))
        used = round(100 * factor)
        tokens, most = tokens + used, max(most, used)
    return found


@given(st.randoms(use_true_random=False), st.floats(30.0, 300.0), st.floats(0.2, 4.0))
def test_the_last_step_of_ten_runs_stands_on_the_floor(dice, seconds, step_s):
    steps = horizons(Limits(max_usd=seconds / 1000), dice, step_s, 0.0)
    assert steps == sorted(steps)
    assert steps[-1] == 1.0
    assert all(share < 1.0 for share in steps[:-1])


@given(st.randoms(use_true_random=False), st.floats(60.0, 300.0), st.floats(0.2, 2.0))
def test_steps_of_many_lengths_end_within_5_percent_of_it(dice, seconds, step_s):
    steps = horizons(Limits(max_hours=seconds / 3600), dice, step_s, 0.3)
    assert steps == sorted(steps)
    assert steps[-1] >= 0.95 or len(steps) < 20


@pytest.mark.parametrize(
    ("limits", "count"),
    [
        (Limits(max_tokens=2000), 20),
        (Limits(max_tokens=2000, max_usd=1.0), 20),
        (Limits(max_tokens=10**6, max_usd=0.031), 22),
        (Limits(max_hours=1.0, until_s=31.0), 22),
    ],
)
def test_the_nearest_limit_speaks(limits, count):
    steps = horizons(limits, random.Random(1), 1.0, 0.0)
    assert len(steps) == pytest.approx(count, abs=1)
    assert steps[-1] == 1.0
    assert steps[len(steps) // 2] == pytest.approx(0.5, abs=0.08), "laid out evenly"


def test_steps_may_be_the_nearest():
    limits = Limits(max_steps=10, max_usd=1.0)
    assert horizons(limits, random.Random(1), 1.0, 0.0, by_steps=0.1) == pytest.approx([n / 10 for n in range(1, 11)])
