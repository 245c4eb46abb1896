"""A machine is paid for once, whatever runs on it at the same time."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledgers import ledger

from tina_lite.sweep.bill import OWN, by_machine, machine_seconds, spans_of
from tina_lite.sweep.journal import Journal, Place

SPANS = st.lists(
    st.tuples(st.integers(0, 50), st.integers(0, 20)).map(lambda one: (one[0], one[0] + one[1])), max_size=8
)


@given(SPANS)
def test_seconds_are_those_in_which_anything_ran(spans: list[tuple[int, int]]) -> None:
    covered = {second for begin, end in spans for second in range(begin, end)}
    assert machine_seconds(spans) == len(covered)


def test_a_session_belongs_to_where_its_trial_was_started_last(tmp_path: Path) -> None:
    driver = ledger(tmp_path / "ledger.jsonl", (100, 200))
    trial = ledger(tmp_path / "1" / "ledger.jsonl", (110, 120), (130, 150))
    placed = [Place(1, "far", 109), Place(1, OWN, 129)]
    spans = by_machine(spans_of(driver), {1: spans_of(trial)}, placed)
    assert spans == {OWN: [(100, 200), (130, 150)], "far": [(110, 120)]}
    assert {name: machine_seconds(found) for name, found in spans.items()} == {OWN: 100, "far": 10}


def test_what_outlives_its_driver_is_on_the_bill(tmp_path: Path) -> None:
    driver = ledger(tmp_path / "ledger.jsonl", (100, 200))
    trial = ledger(tmp_path / "1" / "ledger.jsonl", (110, 207))
    assert machine_seconds(
        by_machine(spans_of(driver), {1: spans_of(trial)}, [Place(1, OWN, 109)])[OWN]
    ) == pytest.approx(107)


def test_the_journal_keeps_its_order_and_what_follows_a_torn_line(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.started(3, "a")
    with (tmp_path / "journal.jsonl").open("a") as file:
        file.write('{"kind": "sta\n')
    journal.started(3, "b")
    journal.found_weak(3, "noise")
    for one in (journal, Journal(tmp_path)):
        assert [(place.trial, place.machine) for place in one.places()] == [(3, "a"), (3, "b")]
        assert one.weak() == {3: "noise"}
