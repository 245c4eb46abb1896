"""The thread that ends a run whose main thread cannot."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from fakes import FakeClock

import tina_lite
from tina_lite.budget import Limits, Meter, Rate
from tina_lite.budget.hard_stop import MARGIN_S, HardStop


@pytest.mark.parametrize(
    ("limits", "rate", "seconds", "limit"),
    [
        (Limits(max_usd=0.010), 3.6, 10.0 - MARGIN_S / 2, "max_usd"),
        (Limits(max_hours=10 / 3600), 3.6, 10.1, "max_hours"),
        (Limits(max_usd=0.010, until_s=5.0), 3.6, 4.9, "until"),
    ],
)
def test_it_acts_at_the_nearest_limit(limits, rate, seconds, limit):
    acted, said = threading.Event(), []
    meter = Meter.in_memory(Rate(rate, "test"), FakeClock(seconds))
    stop = HardStop(limits, meter.read, lambda name: (said.append(name), acted.set()))
    assert acted.wait(20)
    stop.close()
    assert said == [limit]


@pytest.mark.parametrize("limits", [Limits(max_usd=0.010), Limits(max_steps=3), Limits()])
def test_it_lets_a_run_be_that_ends_in_time(limits):
    said = []
    stop = HardStop(limits, Meter.in_memory(Rate(3.6, "test"), FakeClock(9.0)).read, said.append)
    stop.close()
    assert said == []


HANGS = """
import sys, time
from tina_lite.launch import assemble
assemble.assemble = lambda *arguments: time.sleep(600)
from tina_lite.cli.main import main
main()
"""


@pytest.mark.slow
def test_a_run_whose_loading_hangs_ends_at_its_budget(quick_recipe: Path, tmp_path: Path):
    """Ten minutes of loading on a budget of some seconds."""
    worth_s, rate = 15.0, 3600.0
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            HANGS,
            "run",
            quick_recipe,
            "--plain",
            "--out",
            "out",
            f"--rate={rate}",
            f"--max-usd={worth_s}",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(tina_lite.__file__).parent.parent)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1].startswith("max_usd is used up: the run was ended at once, in its phase load;")
    *_, last = (json.loads(line) for line in (tmp_path / "out" / "ledger.jsonl").read_text().splitlines())
    assert last["kind"] == "end"
    assert last["elapsed_s"] > worth_s - 2 * MARGIN_S, "not before it has to be"
