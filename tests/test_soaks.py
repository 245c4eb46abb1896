"""Whole runs under random budgets, stalls and kills; `make soak-...` makes more of them."""

import sys

import pytest
import soak_bill
import soak_budget
import soak_caps
from from_outside import HERE, call

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def beside_other_tests(monkeypatch):
    """Processes start and end later there, on no bill."""
    for soak in (soak_bill, soak_budget):
        monkeypatch.setattr(soak, "STOPWATCH_S", 1.0)


@pytest.mark.parametrize("seed", [101, 102])
def test_no_run_bills_more_than_its_budget(seed, tmp_path):
    outcome = soak_budget.one_run(seed, tmp_path, shortest_s=45.0, longest_s=60.0)  # a busy machine takes 20 to start
    assert outcome.steps > 0
    assert outcome.faults == []


@pytest.mark.parametrize("fault", ["80 iterations", "reward that is deaf", "reward that holds the GIL", "slow base"])
def test_what_asks_no_stop_rule_is_inside_the_budget_too(fault, tmp_path):
    assert soak_caps.one_run(fault, 45.0, tmp_path / "caps").faults == []


def test_the_bill_of_a_run_that_was_killed_is_what_it_lived_and_at_most_a_heartbeat_a_kill(tmp_path):
    assert soak_bill.killed_run(seed=7, folder=tmp_path, kills=2).faults == []


def test_runs_killed_at_events_file_operations_and_moments_end_as_if_nothing_had_happened(tmp_path):
    done, _ = call("2", "7", cwd=tmp_path, command=(sys.executable, str(HERE / "soak_crash.py")))
    assert done.returncode == 0, done.stderr
