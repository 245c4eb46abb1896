"""Limits of wall clock: they nest, each is kept, and nothing is left over."""

import os
import signal
import threading
import time
from contextlib import suppress

import pytest

from tina_lite.util.wall_clock import OutOfTime, wall_clock_limit

SHORT_S = 0.05


def spin(_: object = None) -> None:
    while True:
        pass


def test_the_limit_that_was_passed_is_named():
    with wall_clock_limit(60) as outer:
        with pytest.raises(OutOfTime) as inner_passed, wall_clock_limit(SHORT_S) as inner:
            spin()
        assert inner_passed.value.limit is inner
        assert not outer.passed


def test_an_outer_limit_goes_through_an_inner_one():
    with pytest.raises(OutOfTime) as caught, wall_clock_limit(SHORT_S) as outer, wall_clock_limit(60):
        spin()
    assert caught.value.limit is outer


def test_time_in_an_inner_block_counts_for_the_outer_one():
    """Putting an alarm back with what was left when the inner block began would give the outer one that time again."""
    with pytest.raises(OutOfTime), wall_clock_limit(10 * SHORT_S):
        sleep_in_limits(1000)


def sleep_in_limits(times: int) -> None:
    for _ in range(times):
        with wall_clock_limit(60):
            time.sleep(SHORT_S)


def test_an_alarm_that_is_swallowed_rings_again(monkeypatch):
    monkeypatch.setattr("tina_lite.util.wall_clock.RING_AGAIN_S", SHORT_S)
    rung = []
    with pytest.raises(OutOfTime), wall_clock_limit(SHORT_S):
        swallow(rung, 3)
    assert len(rung) == 3


def swallow(rung: list[bool], times: int) -> None:
    while len(rung) < times:
        try:
            spin()
        except OutOfTime:
            rung.append(True)
    spin()


def test_a_limit_can_be_ended_at_once():
    with pytest.raises(OutOfTime) as caught, wall_clock_limit(None) as limit:
        spin(limit.end_now())
    assert caught.value.limit is limit


def test_alarms_of_others_are_left_alone_and_leave_a_limit_alone():
    handler = signal.signal(signal.SIGALRM, lambda *_: None)
    try:
        with pytest.raises(OutOfTime), wall_clock_limit(4 * SHORT_S):
            have_alarms_and_spin()
    finally:
        signal.signal(signal.SIGALRM, handler)


def have_alarms_and_spin() -> None:
    signal.setitimer(signal.ITIMER_REAL, SHORT_S)
    time.sleep(2 * SHORT_S)
    signal.alarm(60)
    signal.alarm(0)
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    spin()


def test_waiting_for_others_can_be_ended():
    reading, writing = os.pipe()
    try:
        with pytest.raises(OutOfTime), wall_clock_limit(SHORT_S):
            os.read(reading, 1)
    finally:
        os.close(reading)
        os.close(writing)


def test_nothing_rings_once_a_block_has_ended():
    for _ in range(200):
        with suppress(OutOfTime), wall_clock_limit(0.0005):
            time.sleep(0.0005)
    time.sleep(SHORT_S)


def test_another_thread_has_no_limit():
    finished = []

    def work() -> None:
        with wall_clock_limit(0.0):
            finished.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert finished == [True]
