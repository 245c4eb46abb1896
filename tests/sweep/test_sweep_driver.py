"""The driver's loop over a pool that is made up: who is started where, with how much, and what becomes of the lost."""

import json
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledgers import ledger

from tina_lite.recipe import load_recipe
from tina_lite.recipe.file import shipped_recipes
from tina_lite.sweep import driver as driver_module
from tina_lite.sweep.bill import OWN
from tina_lite.sweep.driver import LEAST_S, MARGIN_S, MOST_LOSSES, Driver, Node
from tina_lite.sweep.file import Trial

RECIPE = load_recipe(shipped_recipes()["quickstart"])
RATE = 3600.0
"""A dollar a second."""


def trials(count: int) -> list[Trial]:
    return [Trial(number, number, {"lora.r": number}, 1, RECIPE) for number in range(1, count + 1)]


class MadeUpPool:
    """Runs nothing; a test says how trials end."""

    def __init__(self, *nodes: Node) -> None:
        self.there = list(nodes)
        self.started: list[tuple[int, Node, float]] = []
        """Trial, node, and dollars up to which it may go."""
        self._ended: list[tuple[int, int | None]] = []

    def nodes(self) -> list[Node]:
        return self.there

    def start(self, number: int, node: Node, words: Sequence[str], log: Path) -> None:
        self.started.append((number, node, float(words[words.index("--max-usd") + 1])))

    def ended(self) -> list[tuple[int, int | None]]:
        found, self._ended = self._ended, []
        return found

    def end(self, number: int, status: int | None) -> None:
        self._ended.append((number, status))


def driver(folder: Path, pool: MadeUpPool, count: int, max_usd: float = 1000.0) -> Driver:
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    if not (folder / "ledger.jsonl").exists():
        now = time.time()
        ledger(folder / "ledger.jsonl", (now, now))
    return Driver(folder, trials(count), pool, max_usd=max_usd, rate=RATE)


def summary(one: Driver, number: int, reason: str) -> None:
    folder = one.courses[number - 1].folder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "summary.json").write_text(json.dumps({"stop_reason": reason}))


HERE = Node("n1", OWN, 2)
THERE = Node("n2", "far", 1)


def test_as_many_run_as_there_is_room_for_and_the_next_follows(tmp_path: Path) -> None:
    pool = MadeUpPool(HERE)
    one = driver(tmp_path, pool, 3)
    assert one.turn()
    assert [number for number, _, _ in pool.started] == [1, 2]
    summary(one, 1, "max_steps")
    pool.end(1, 0)
    assert one.turn()
    assert [number for number, _, _ in pool.started] == [1, 2, 3]
    for number in (2, 3):
        summary(one, number, "max_steps")
        pool.end(number, 0)
    assert not one.turn()
    assert [course.state for course in one.courses] == ["done"] * 3


@pytest.fixture(autouse=True)
def restless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver_module, "REST_S", 0.0)


def test_where_a_trial_was_lost_none_is_started_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = MadeUpPool(HERE, THERE)
    one = driver(tmp_path, pool, 1)
    one.turn()
    monkeypatch.setattr(driver_module, "REST_S", 100.0)
    pool.end(1, None)
    one.turn()
    assert [node for _, node, _ in pool.started] == [HERE, THERE]


def test_what_is_lost_goes_on_elsewhere_but_not_for_ever(tmp_path: Path) -> None:
    pool = MadeUpPool(HERE, THERE)
    one = driver(tmp_path, pool, 1)
    one.turn()
    pool.there = [THERE]
    pool.end(1, None)
    assert one.turn()
    assert [node for _, node, _ in pool.started] == [HERE, THERE]
    for _ in range(MOST_LOSSES):
        pool.end(1, -9)
        one.turn()
    assert one.courses[0].state == "failed"
    assert "lost 6 times" in one.courses[0].why


@pytest.mark.parametrize(("reason", "state"), [("max_steps", "done"), ("hopeless", "done"), ("max_usd", "waiting")])
def test_a_driver_that_begins_anew_goes_by_the_folders(tmp_path: Path, reason: str, state: str) -> None:
    summary(driver(tmp_path, MadeUpPool(HERE), 2), 1, reason)
    again = driver(tmp_path, MadeUpPool(), 2)
    assert [course.state for course in again.courses] == [state, "waiting"]


def test_a_trial_that_cannot_be_run_is_not_tried_again(tmp_path: Path) -> None:
    pool = MadeUpPool(HERE)
    one = driver(tmp_path, pool, 1)
    one.turn()
    pool.end(1, 2)
    assert not one.turn()
    assert (one.courses[0].state, one.courses[0].why) == ("failed", "exit status 2")


def test_what_one_trial_does_not_use_starts_another(tmp_path: Path) -> None:
    """Money for one at a time: the second waits for what the first leaves."""
    pool = MadeUpPool(HERE)
    one = driver(tmp_path, pool, 2, max_usd=MARGIN_S + 1.5 * LEAST_S)
    one.turn()
    started = [number for number, _, _ in pool.started]
    assert started
    for number in started:
        summary(one, number, "max_steps")
        pool.end(number, 0)
    while one.turn():
        for number, _, _ in pool.started[len(started) :]:
            summary(one, number, "max_steps")
            pool.end(number, 0)
    assert [course.state for course in one.courses] == ["done", "done"]


def test_without_money_the_rest_is_not_begun(tmp_path: Path) -> None:
    pool = MadeUpPool(HERE)
    one = driver(tmp_path, pool, 2, max_usd=MARGIN_S + LEAST_S / 2)
    assert not one.turn()
    assert [course.state for course in one.courses] == ["no money", "no money"]
    assert not pool.started


def test_who_is_told_to_stop_starts_nothing_more(tmp_path: Path) -> None:
    pool = MadeUpPool(HERE)
    one = driver(tmp_path, pool, 3)
    one.turn()
    one.stop("SIGTERM")
    assert sorted(path.name for path in (tmp_path / "logs").glob("*.stop")) == [
        "001-r=1-seed=1.log.stop",
        "002-r=2-seed=1.log.stop",
    ]
    for number in (1, 2):
        summary(one, number, "interrupted")
        pool.end(number, 143)
    assert not one.turn()
    assert len(pool.started) == 2


NODES = st.lists(st.tuples(st.sampled_from([OWN, "far", "farther"]), st.integers(1, 3)), min_size=1, max_size=4)


@settings(deadline=None, max_examples=30)
@given(NODES, st.integers(1, 12), st.floats(1, 2000))
def test_never_more_is_promised_than_there_is(
    tmp_path_factory: pytest.TempPathFactory, nodes: list[tuple[str, int]], count: int, max_usd: float
) -> None:
    """A machine is paid for as long as the longest of its trials may go on; with a margin for each, all are paid."""
    pool = MadeUpPool(*(Node(str(number), machine, slots) for number, (machine, slots) in enumerate(nodes)))
    one = driver(tmp_path_factory.mktemp("sweep"), pool, count, max_usd)
    one.turn()
    longest: dict[str, float] = {}
    for course in one.courses:
        if course.state == "running" and course.node:
            for machine in (OWN, course.node.machine):  # the driver's is paid for as long as anything runs
                longest[machine] = max(longest.get(machine, 0.0), course.left_s)
    machines = len({OWN, *(machine for machine, _ in nodes)})
    assert sum(longest.values()) * RATE / 3600 <= max_usd - MARGIN_S * machines + 1e-6 or not longest
    started = sum(course.state == "running" for course in one.courses)
    assert started <= sum(slots for _, slots in nodes)
