"""Workers that hang or die cost their own item only."""

import os
import sys
from pathlib import Path

import pytest

from tina_lite.rewards.accuracy import command_of
from tina_lite.rewards.workers import LOST, WorkerPool
from tina_lite.util.errors import TinaError

DOUBLER = """
import json, os, sys, time
print('"ready"', flush=True)
for line in sys.stdin:
    item = json.loads(line)
    while item == "hang":
        pass
    if item == "starve":
        time.sleep(600)
    if item == "nap":
        time.sleep(0.5)
        item = 1
    if item == "die":
        os._exit(1)
    print(json.dumps([2 * item, os.getpid()]), flush=True)
"""


@pytest.fixture
def pools():
    opened = []

    def make(size: int = 1, program: str = DOUBLER) -> WorkerPool:
        opened.append(WorkerPool([sys.executable, "-S", "-c", program], size=size, limit_s=0.3))
        return opened[-1]

    yield make
    for pool in opened:
        pool.close()


def test_answers_come_in_order_from_any_number_of_workers(pools) -> None:
    for size in (1, 3):
        answers = pools(size).ask(list(range(20)))
        assert [answer[0] for answer in answers] == [2 * item for item in range(20)]
        assert len({answer[1] for answer in answers}) <= size


def test_no_worker_starts_for_nothing(pools) -> None:
    assert pools(program="raise SystemExit").ask([]) == []


@pytest.mark.parametrize("fault", ["hang", "die"])
def test_a_lost_worker_is_replaced(pools, fault: str) -> None:
    pool = pools()
    (first, lost, last) = pool.ask([1, fault, 3])
    assert (first[0], lost, last[0], pool.lost) == (2, LOST, 6, 1)
    assert first[1] != last[1]
    assert not _alive(first[1])


def test_a_worker_that_could_not_run_gets_more_time_but_not_for_ever(pools) -> None:
    pool = pools()
    (napped, starved) = pool.ask(["nap", "starve"])
    assert (napped[0], starved, pool.lost) == (2, LOST, 1)


def test_a_worker_that_dies_between_two_calls_is_replaced(pools) -> None:
    pool = pools()
    ((_, process),) = pool.ask([1])
    os.kill(process, 9)
    os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)
    assert pool.ask([1])[0][0] == 2
    assert pool.lost == 0


def test_a_worker_that_has_served_long_is_replaced(pools, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tina_lite.rewards.workers.MOST_ITEMS", 3)
    pool = pools()
    answers = pool.ask(list(range(7)))
    assert [answer[0] for answer in answers] == [2 * item for item in range(7)]
    processes = [answer[1] for answer in answers]
    assert [processes.count(process) for process in dict.fromkeys(processes)] == [3, 3, 1]
    assert pool.lost == 0


def test_few_items_start_one_worker(pools) -> None:
    assert len({answer[1] for answer in pools(4).ask(list(range(8)))}) == 1


def test_close_leaves_no_process_and_the_pool_can_go_on(pools) -> None:
    pool = pools(2)
    processes = {answer[1] for answer in pool.ask(list(range(8)))}
    pool.close()
    assert not any(map(_alive, processes))
    assert pool.ask([21])[0][0] == 42


def test_a_program_that_does_not_start_is_reported(pools) -> None:
    with pytest.raises(TinaError, match="did not start"):
        pools(program="raise SystemExit(1)").ask([1])


def judged(*asked: tuple[str, str, bool]) -> list[object]:
    pool = WorkerPool(command_of("formulas"), limit_s=20.0)
    try:
        return pool.ask(
            [{"gold": gold, "answer": answer, "boxed": boxed, "limit_s": 20.0} for gold, answer, boxed in asked]
        )
    finally:
        pool.close()


def test_math_verify_in_a_worker() -> None:
    asked = [("\\frac{1}{2}", "0.5", True), ("34", "so it is 34", False), ("34", "\\ud800(((", True), ("", "1", True)]
    assert judged(*asked) == [True, True, False, None]


def test_what_is_too_large_to_write_out_is_judged_all_the_same() -> None:
    tower, huge = "9^{9^{9}}", "99999999!"
    asked = [("34", tower, True), (tower, "9^{9^{9}} + 0", True), ("34", huge, True), ("34", "9**9**9", False)]
    small = [
        ("1024", "2^{10}", True),
        ("6", "3!", True),
        ("10", "\\binom{5}{2}", True),
        ("\\frac{1}{8}", "2^{-3}", True),
    ]
    assert judged(*asked, *small) == [False, True, False, False, True, True, True, True]


def test_sympy_lost_in_a_power_of_a_sum_costs_one_item() -> None:
    pool = WorkerPool(command_of("formulas"), limit_s=0.5)
    power = {"gold": "34", "answer": "(x+y+z)^{200}", "boxed": True, "limit_s": 0.5}
    try:
        assert pool.ask([power, {**power, "answer": r"\frac{68}{2}"}])[1] is True
    finally:
        pool.close()


def _alive(process: int) -> bool:
    return Path(f"/proc/{process}").exists()
