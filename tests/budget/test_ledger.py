"""What stands in the ledger when a process, a disk or a person has cut it short."""

import json
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeClock
from hypothesis import given
from hypothesis import strategies as st

from tina_lite.budget import Meter, Rate, read_bills
from tina_lite.budget.ledger import Ledger
from tina_lite.util.errors import BadInput, NoRoom

INTERVAL_S = 5.0
START = {"kind": "start", "session": 1, "elapsed_s": 0.5, "rate": 3.6, "heartbeat_s": INTERVAL_S}


def start(session: int, rate: float) -> dict[str, Any]:
    return {**START, "session": session, "rate": rate}


def spent(kind: str, seconds: float, session: int = 1) -> dict[str, Any]:
    phases = {"load": 0.5, "update": seconds - 0.5}
    return {"kind": kind, "session": session, "elapsed_s": seconds, "seconds_by_phase": phases}


def write(path: Path, *lines: Mapping[str, Any]) -> None:
    ledger = Ledger(path)
    for line in lines:
        ledger.append(line)
    ledger.close()


def test_a_beat_torn_at_any_byte_costs_one_interval_and_no_other_line(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    write(path, START, spent("beat", 4.5), spent("beat", 8.5))
    data = path.read_bytes()
    last = data[:-1].rfind(b"\n") + 1
    for cut in range(last, len(data)):
        path.write_bytes(data[:cut])
        Ledger(path).close()
        assert path.read_bytes() == data[:last]
        assert [bill.seconds for bill in read_bills(path)] == [4.5 + INTERVAL_S]


def test_zeros_that_a_power_cut_left_at_the_end_are_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    write(path, START, spent("beat", 4.5))
    whole = path.read_bytes()
    path.write_bytes(whole + b"\0" * 512)
    write(path, spent("end", 8.5))
    assert path.read_bytes().startswith(whole)
    assert [bill.seconds for bill in read_bills(path)] == [8.5]


def test_a_session_killed_before_its_first_beat_is_charged_its_start_and_an_interval(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    write(path, START)
    assert [bill.seconds_by_phase for bill in read_bills(path)] == [{"load": 0.5, "other": INTERVAL_S}]


SESSIONS = st.lists(st.tuples(st.floats(0, 60), st.floats(0.5, 1e5), st.booleans()), min_size=1, max_size=6)


@given(SESSIONS)
def test_bills_of_many_sessions_add_up_each_at_its_own_rate(
    tmp_path_factory: pytest.TempPathFactory, sessions: list[tuple[float, float, bool]]
) -> None:
    path = tmp_path_factory.mktemp("many") / "ledger.jsonl"
    expected = 0.0
    for number, (rate, seconds, ended) in enumerate(sessions, start=1):
        write(path, start(number, rate), spent("end" if ended else "beat", seconds, number))
        expected += (seconds if ended else seconds + INTERVAL_S) / 3600 * rate
    meter = Meter.open(path, Rate(1.0, "test"), clock=FakeClock(0.0))
    reading = meter.read()
    meter.close()
    assert meter.session == len(sessions) + 1
    assert reading.usd == pytest.approx(expected)
    assert sum(reading.seconds_by_phase.values()) == reading.total_s
    assert sum(reading.usd_by_phase.values()) == reading.usd


@given(st.lists(st.floats(0.0, INTERVAL_S), max_size=30), st.floats(0.0, INTERVAL_S))
def test_a_killed_session_is_charged_all_that_it_used_and_at_most_an_interval_more(
    tmp_path_factory: pytest.TempPathFactory, gaps: list[float], after_s: float
) -> None:
    path = tmp_path_factory.mktemp("killed") / "ledger.jsonl"
    beats = [0.5 + sum(gaps[: index + 1]) for index in range(len(gaps))]
    write(path, START, *(spent("beat", seconds) for seconds in beats))
    used_s = max(beats, default=0.5) + after_s
    (bill,) = read_bills(path)
    assert used_s - 1e-9 <= bill.seconds <= used_s + INTERVAL_S + 1e-9


@pytest.mark.parametrize(
    ("line", "number"),
    [
        ("{}", 3),
        ("[1]", 3),
        ('"beat"', 3),
        ('{"kind": "beat", "session": 1}', 3),
        ('{"kind": "beat", "session": 2, "elapsed_s": 3.0}', 3),
        ('{"kind": "end", "session": 1, "elapsed_s": 3.0, "seconds_by_phase": {"load": "much"}}', 3),
        ("\udcff", 3),
    ],
)
def test_a_line_that_is_none_is_named_and_nothing_is_lost(tmp_path: Path, line: str, number: int) -> None:
    path = tmp_path / "ledger.jsonl"
    write(path, START, spent("beat", 4.5))
    with path.open("a", encoding="utf-8", errors="surrogateescape") as file:
        file.write(line + "\n")
    before = path.read_bytes()
    with pytest.raises(BadInput, match=rf"ledger\.jsonl:{number}: not a line of a ledger"):
        Meter.open(path, Rate(1.0, "test"), clock=FakeClock())
    assert path.read_bytes() == before


def test_a_full_disk_leaves_no_half_line(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    ledger = Ledger(path)
    ledger.append(START)
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, hard))
    try:
        with pytest.raises(NoRoom, match=r"ledger\.jsonl: cannot be written .* free some space"):
            ledger.append(spent("beat", 4.5))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    ledger.append(spent("beat", 4.5))
    ledger.close()
    assert [json.loads(line)["kind"] for line in path.read_text().splitlines()] == ["start", "beat"]
