"""The bill: phases add up, sessions add up, a killed session is never charged less than it used."""

import json
import signal
import subprocess
import sys

import pytest
from fakes import FakeClock
from hypothesis import given
from hypothesis import strategies as st

from tina_lite.budget import Meter, Rate, read_bills
from tina_lite.budget.ledger import Ledger
from tina_lite.budget.meter import PHASES, ProcessClock, process_age_s
from tina_lite.util.errors import BadInput

RATE = Rate(3.6, "test")  # a tenth of a cent a second
seconds = st.floats(0, 1000)


@given(st.lists(st.tuples(st.sampled_from(PHASES), seconds, seconds), max_size=10))
def test_phases_add_up_to_the_whole(parts):
    clock = FakeClock(2.0)
    meter = Meter.in_memory(RATE, clock)
    for name, inside, nested in parts:
        with meter.phase(name):
            clock.now += inside
            with meter.phase("save"):
                clock.now += nested
        clock.now += 1.0
    reading = meter.read()
    assert sum(reading.seconds_by_phase.values()) == pytest.approx(clock.now)
    assert sum(reading.usd_by_phase.values()) == pytest.approx(reading.usd)
    assert reading.usd == pytest.approx(clock.now * 0.001)


def test_the_innermost_phase_is_charged_and_all_before_the_first_is_load():
    clock = FakeClock(5.0)
    meter = Meter.in_memory(RATE, clock)
    with meter.phase("rollout"):
        clock.now += 3.0
        with meter.phase("save"):
            clock.now += 1.0
        clock.now += 2.0
    clock.now += 0.5
    charged = {name: s for name, s in meter.read().seconds_by_phase.items() if s}
    assert charged == {"load": 5.0, "rollout": 5.0, "save": 1.0, "other": 0.5}


def test_sessions_add_up_each_at_its_own_rate(tmp_path):
    path = tmp_path / "ledger.jsonl"
    for usd_per_hour in (3.6, 7.2):
        clock = FakeClock()
        meter = Meter.open(path, Rate(usd_per_hour, "test"), clock=clock, heartbeat_s=1000)
        clock.now = 10.0
        meter.close()
        clock.now = 99.0
        assert meter.elapsed_s() == 10.0, "a closed meter is frozen"
    third = Meter.open(path, RATE, clock=FakeClock(1.0), heartbeat_s=1000)
    assert third.session == 3
    assert third.usd() == pytest.approx(0.010 + 0.020 + 0.001)
    assert third.read().total_s == pytest.approx(21.0)
    assert sum(third.read().usd_by_phase.values()) == pytest.approx(third.usd())
    third.close()


@given(st.integers(1, 60), st.floats(0.1, 4.9))
def test_a_killed_session_is_charged_at_least_what_it_used(tmp_path_factory, beats, after):
    """It beat every 5 s and died `after` seconds past the last beat."""
    path = tmp_path_factory.mktemp("killed") / "ledger.jsonl"
    ledger = Ledger(path)
    ledger.append({"kind": "start", "session": 1, "elapsed_s": 0.0, "rate": 3.6, "heartbeat_s": 5.0})
    for beat in range(1, beats + 1):
        ledger.append({"kind": "beat", "session": 1, "elapsed_s": 5.0 * beat, "seconds_by_phase": {"load": 5.0 * beat}})
    ledger.close()
    (bill,) = read_bills(path)
    assert 5.0 * beats + after <= bill.seconds <= 5.0 * beats + 5.0
    assert sum(bill.seconds_by_phase.values()) == pytest.approx(bill.seconds)


def test_a_torn_last_line_is_repaired_at_every_byte(tmp_path):
    whole = tmp_path / "whole.jsonl"
    meter = Meter.open(whole, RATE, clock=FakeClock(1.0), heartbeat_s=1000)
    meter.close()
    data = whole.read_bytes()
    start = data[:-1].rfind(b"\n") + 1
    for cut in range(start, len(data)):
        torn = tmp_path / "torn.jsonl"
        torn.write_bytes(data[:cut])
        (bill,) = read_bills(torn)
        assert bill.seconds == pytest.approx(1.0 + 1000), "only the start line is left: charged one interval more"
        Meter.open(torn, RATE, clock=FakeClock(2.0), heartbeat_s=1000).close()
        assert [json.loads(line)["kind"] for line in torn.read_text().splitlines()] == ["start", "start", "end"]


def test_a_ledger_that_is_none_is_one_clear_line(tmp_path):
    path = tmp_path / "ledger.jsonl"
    path.write_text("hello\n")
    with pytest.raises(BadInput, match=r"ledger.jsonl:1"):
        read_bills(path)


KILLED = """
import sys, time
from pathlib import Path
from tina_lite.budget import Meter, Rate
path = Path(sys.argv[1])
meter = Meter.open(path, Rate(3.6, "test"), heartbeat_s=0.05)
deadline = time.monotonic() + 20
with meter.phase("update"):
    while path.read_text().count('"beat"') < 2 and time.monotonic() < deadline:
        sum(range(10_000))
print("beaten", flush=True)
sys.stdin.read()
"""


def test_a_process_killed_in_mid_run_leaves_a_readable_ledger(tmp_path):
    path = tmp_path / "ledger.jsonl"
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with child:
        assert child.stdout.readline() == "beaten\n"
        child.send_signal(signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    (bill,) = read_bills(path)
    assert bill.seconds > 0.1
    assert bill.seconds_by_phase["update"] > 0


def test_the_clock_counts_from_the_start_of_the_process(monkeypatch):
    for name in ("_origin", "_ended_at"):  # of the runs of other tests
        monkeypatch.setattr(f"tina_lite.budget.meter.{name}", None)
    age = process_age_s()
    assert age > 0.01, "python itself took longer to start"
    clock = ProcessClock()
    assert age <= clock.elapsed_s() < age + 60
