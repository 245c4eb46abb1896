"""The heartbeat's thread: it beats whatever the main thread and the disk are doing, and holds nobody up."""

import os
import threading
from pathlib import Path

import pytest

from tina_lite.budget import Meter, Rate, read_bills
from tina_lite.budget.meter import HEARTBEAT_S, PACE

RATE = Rate(3.6, "test")
PATIENCE_S = 30.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.jsonl"


def beats(path: Path) -> int:
    return path.read_text().count('"kind": "beat"')


def beaten(path: Path, count: int) -> bool:
    """Waits for so many beats; False where they do not come."""
    tick = threading.Event()
    for _ in range(int(PATIENCE_S / 0.005)):
        if beats(path) >= count:
            return True
        tick.wait(0.005)
    return False


def test_it_beats_while_the_main_thread_is_in_a_call_to_c(path: Path) -> None:
    reading, writing = os.pipe()
    meter = Meter.open(path, RATE, heartbeat_s=0.01)

    def wake() -> None:
        beaten(path, 3)
        os.write(writing, b"x")

    callback = threading.Thread(target=wake)
    callback.start()
    with meter.phase("update"):
        os.read(reading, 1)
    seen = beats(path)
    callback.join()
    meter.close()
    os.close(reading)
    os.close(writing)
    assert seen >= 3
    assert read_bills(path)[0].seconds_by_phase["update"] > 0.0


def test_a_slow_disk_does_not_hold_up_the_main_thread(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting, go_on = threading.Event(), threading.Event()

    def stall(_: int) -> None:
        waiting.set()
        go_on.wait(PATIENCE_S)

    def work() -> None:
        with meter.phase("rollout"):
            meter.read()

    meter = Meter.open(path, RATE, heartbeat_s=0.01)
    monkeypatch.setattr(os, "fsync", stall)
    assert waiting.wait(PATIENCE_S), "the heartbeat waits for the disk"
    worker = threading.Thread(target=work)
    worker.start()
    worker.join(PATIENCE_S / 2)
    held_up = worker.is_alive()
    go_on.set()
    worker.join()
    meter.close()
    assert not held_up


def test_a_beat_that_fails_is_not_the_last(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    meter = Meter.open(path, RATE, heartbeat_s=0.01)
    failed = threading.Event()

    def full(_: int) -> None:
        failed.set()
        raise OSError("no space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", full)
        assert failed.wait(PATIENCE_S)
    so_far = beats(path)
    assert beaten(path, so_far + 2)
    meter.close()
    assert len(read_bills(path)) == 1, "every line is whole"


def test_closing_ends_the_thread_and_says_the_end_once(path: Path) -> None:
    before = set(threading.enumerate())
    meter = Meter.open(path, RATE, heartbeat_s=0.01)
    assert {thread.name for thread in set(threading.enumerate()) - before} == {"heartbeat"}
    meter.close()
    meter.close()
    assert path.read_text().count('"kind": "end"') == 1
    assert set(threading.enumerate()) <= before


def test_beats_come_before_the_interval_that_a_killed_run_is_charged() -> None:
    assert HEARTBEAT_S <= 5.0
    assert PACE < 1.0
