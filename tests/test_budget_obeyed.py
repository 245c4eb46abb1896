"""Whole runs under random budgets, stalls and kills; `make soak-budget`, `soak-caps`, `soak-bill` make more of them."""

import pytest
import soak_caps
from soak_bill import killed_run
from soak_budget import one_run

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("seed", [101, 102, 103, 104])
def test_no_run_bills_more_than_its_budget(seed, tmp_path):
    outcome = one_run(seed, tmp_path, shortest_s=25.0, longest_s=40.0)  # a busy machine takes ten to start
    assert outcome.steps > 0
    assert outcome.faults == []


@pytest.mark.parametrize("fault", ["80 iterations", "reward that is deaf"])
def test_what_asks_no_stop_rule_is_inside_the_budget_too(fault, tmp_path):
    assert soak_caps.one_run(fault, 25.0, tmp_path / "caps").faults == []


def test_the_bill_of_a_run_that_was_killed_is_what_it_lived_and_at_most_a_heartbeat_a_kill(tmp_path):
    assert killed_run(seed=7, folder=tmp_path, kills=2).faults == []
