"""bench/gpu.sh without a card: it says so, and a rehearsal goes through every part."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def kit(out: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OUT": str(out), "PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
    command = [str(ROOT / "bench" / "gpu.sh"), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_a_part_that_is_none_is_named(tmp_path: Path) -> None:
    done = kit(tmp_path, "--rehearse", "part9")
    assert done.returncode == 1
    assert "no such part: part9; there are part1, part2" in done.stderr


@pytest.mark.slow
def test_without_a_card_nothing_is_claimed(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a card here")
    done = kit(tmp_path, "part2")
    assert done.returncode == 3
    said = json.loads(done.stdout)
    assert said["card"] is None
    assert "nothing was measured" in said["missing"]
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_rehearsal_goes_through_every_part(tmp_path: Path) -> None:
    done = kit(tmp_path, "--rehearse")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    reports = {report["part"]: report for report in map(json.loads, done.stdout.splitlines())}
    assert list(reports) == ["part1", "part2", "part3", "part4"]
    has_unsloth = reports["part1"]["unsloth"] is not None
    engines = ["portable", "unsloth"] if has_unsloth else ["portable"]
    assert [run["engine"] for run in reports["part1"]["results"]["quickstart"]] == engines
    sides = [line["side"] for line in reports["part2"]["results"]["rollout"] if line["rows"] == 16]
    assert sides == [*engines, "generate-nf4", "generate-16bit"]
    assert {line["tokens"] for line in reports["part2"]["results"]["rollout"]} == {8 * 8, 16 * 8}
    steps = reports["part3"]["results"]["step"]
    assert [step["cap_gb"] for step in steps] == [8]
    assert all(step["rollout_s"] > 0 and step["update_s"] > 0 and step["planned_peak_gib"] > 0 for step in steps)
    assert all("out_of_memory" not in step for step in steps)
    parity = reports["part1"]["results"]["parity"][0]
    assert parity["greedy_equal"] == 1.0 if has_unsloth else "missing" in parity
    fourth = reports["part4"]["results"]["step"][0]
    assert fourth["engine"] == "unsloth" if has_unsloth else fourth["missing"] == "unsloth is not installed"
    assert reports["part1"]["results"]["tests"][0]["tests collected"] > 3
    for part in reports:
        assert (tmp_path / f"gpu-rehearsal-{part}.json").exists()
        assert "| engine |" in (tmp_path / "gpu-rehearsal-part1.md").read_text()
