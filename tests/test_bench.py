"""The benchmarks end in time and say what they left out; what they measure is in bench/README.md."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tina_lite import load_recipe
from tina_lite.recipe.file import find_recipe

ROOT = Path(__file__).parents[1]


@pytest.fixture
def sides(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    import sides

    yield sides
    del sys.modules["sides"]


def test_what_a_probe_shows_to_be_much_slower_is_named_and_left_out(sides):
    limits = []

    def probe(kind, limit_s):
        limits.append(limit_s)
        if kind == "endless":
            raise sides.TookTooLong
        return {"slow": 3.0, "fast": 1.0, "nearly": 1.4}[kind]

    kept, dropped = sides.worth_measuring(("slow", "fast", "nearly", "endless"), probe)
    assert kept == ["fast", "nearly"]
    assert dropped == {
        "slow": "3.0 times slower than fast in a probe",
        "endless": "over 1.5 times slower than fast in a probe",
    }
    assert limits[0] == float("inf")
    assert all(limit < 10 for limit in limits[1:])


@pytest.mark.slow
def test_who_passes_a_limit_is_ended_with_all_that_it_started(sides, tmp_path):
    child = "import time; open('up', 'w').close(); time.sleep(1e6)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with pytest.raises(sides.TookTooLong):
        sides.run([[sys.executable, "-c", parent]], limit_s=3.0, cwd=str(tmp_path))
    assert (tmp_path / "up").exists()
    running = Path("/proc").glob("[0-9]*/cmdline")
    assert not [file for file in running if child in read(file)]


def read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:  # it has just ended
        return ""


@pytest.mark.slow
def test_a_benchmark_ends_with_what_it_has():
    environment = {**os.environ, "BENCH_MINUTES": "0.05"}
    command = [sys.executable, str(ROOT / "bench" / "quickstart.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"runs": []}
    assert "the 0.05 minutes are over (BENCH_MINUTES)" in done.stderr


def test_make_bench_names_every_benchmark_and_its_time():
    targets = set(re.findall(r"^(bench-\w+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    told = subprocess.run(["make", "bench"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    listed = dict(line.split(maxsplit=1) for line in told.splitlines() if line.startswith("bench-"))
    assert len(targets) >= 9
    assert set(listed) == targets
    assert all(re.match(r"\d+ (to \d+ )?min", line) for line in listed.values())


def test_what_two_experiments_keep_in_one_folder_is_one_run(sides):
    from cheaper import EXPERIMENTS

    kept: dict[tuple[str, str], dict] = {}
    for kinds in EXPERIMENTS.values():
        for kind, (recipe, changes) in kinds.items():
            assert kept.setdefault((recipe, kind), changes) == changes
            assert (kind == "all") == (not changes and "cheap/" not in recipe)
            load_recipe(find_recipe(Path(recipe)), changes)
