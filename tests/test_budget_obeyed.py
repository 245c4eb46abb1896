"""Whole runs under random budgets, stalls and kills; `make soak-budget` and `make soak-bill` make more of them."""

import pytest
from soak_bill import killed_run
from soak_budget import one_run

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("seed", [101, 102])
def test_no_run_bills_more_than_its_budget(seed, tmp_path):
    outcome = one_run(seed, tmp_path, shortest_s=30.0, longest_s=45.0)  # a busy machine takes ten to start
    assert outcome.steps > 0
    assert outcome.faults == []


def test_the_bill_of_a_run_that_was_killed_is_what_it_lived_and_at_most_a_heartbeat_a_kill(tmp_path):
    assert killed_run(seed=7, folder=tmp_path, kills=2).faults == []
