"""Until when the parts of a step may run, and what is kept back for what must follow."""

from math import inf

import pytest
from fakes import FakeClock

from tina_lite.budget import Meter, Rate
from tina_lite.budget.limits import (
    EVAL_RESERVE,
    EVAL_SHARE,
    SAVE_RESERVE_S,
    SLOWER_SAVE,
    Deadlines,
    Limits,
    Timings,
)

WORTH_S = 100.0


class Session:
    """A pace whose clock the test winds."""

    def __init__(self, limits: Limits | None = None, iterations: int = 1) -> None:
        self.clock = FakeClock()
        self.asked = False
        meter = Meter.in_memory(Rate(3600.0, "test"), self.clock)
        limits = Limits(max_usd=WORTH_S) if limits is None else limits
        self.deadlines = Deadlines(meter, limits, lambda: self.asked, iterations)

    def stops_at(self, check, piece_s: float) -> float:
        """Seconds after which pieces of work of this length are stopped."""
        while not check():
            self.clock.now += piece_s
        return self.clock.now


def test_the_first_rollout_keeps_back_an_update_by_its_own_length():
    """At second 31.6 it has taken 31.6, the update may take twice as long, and 5 are for saving."""
    session = Session()
    assert session.stops_at(session.deadlines.out_of_time_for_rollout(), 0.1) == pytest.approx((100 - 5) / 3, abs=0.25)


def test_many_iterations_keep_back_many_updates():
    session = Session(iterations=80)
    assert session.stops_at(session.deadlines.out_of_time_for_rollout(), 0.01) == pytest.approx(
        95 / (1 + 2 + 79 / 2), abs=0.1
    )


def test_a_later_rollout_keeps_back_what_was_measured():
    session = Session()
    session.deadlines.load_state(Timings(steps=[40.0], reward=10.0, update=20.0, save=1.0, eval=8.0).state())
    rest = 10.0 + 20.0 + EVAL_RESERVE * 8.0 + SAVE_RESERVE_S
    assert session.stops_at(session.deadlines.out_of_time_for_rollout(), 0.1) == pytest.approx(100 - rest, abs=0.25)
    assert session.deadlines.step_s == pytest.approx(44.0)


def test_work_stops_before_a_piece_that_would_pass_the_deadline():
    session = Session()
    assert session.stops_at(session.deadlines.out_of_time(reserve_s=9.0), 10.0) == 90.0, "at 90 one more ends at 100"


def test_work_stops_when_someone_asks_also_without_a_limit():
    session = Session(Limits())
    check = session.deadlines.out_of_time(reserve_s=9.0)
    assert not check()
    session.asked = True
    assert check()


def test_an_evaluation_gets_a_share_and_a_slow_disk_more_reserve():
    session = Session()
    assert session.deadlines.eval_share_s() == pytest.approx(EVAL_SHARE * (WORTH_S - SAVE_RESERVE_S))
    session.deadlines.timings.save = 8.0
    assert session.deadlines.save_reserve_s == SLOWER_SAVE * 8.0
    assert Session(Limits()).deadlines.eval_share_s() == inf


def test_scoring_leaves_time_for_the_update():
    session = Session()
    assert session.deadlines.scoring_may_take_s(rollout_s=10.0) == pytest.approx(100 - 5 - 2 * 10)
    session.deadlines.timings.update = 30.0
    assert session.deadlines.scoring_may_take_s(rollout_s=10.0) == pytest.approx(100 - 5 - 30)
    session.clock.now = 99.0
    assert session.deadlines.scoring_may_take_s(rollout_s=10.0) == 0.0
