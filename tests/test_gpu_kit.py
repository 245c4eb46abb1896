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
    assert "no such part: part9; there are env, tests, quickstart" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("part", ["env", "rollout"])
def test_without_a_card_nothing_is_claimed(tmp_path: Path, part: str) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a card here")
    done = kit(tmp_path, part)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("no CUDA card that torch can use: nothing was measured;")
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_rehearsal_goes_through_every_part(tmp_path: Path) -> None:
    done = kit(tmp_path, "--rehearse")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    reports = {report["part"]: report for report in map(json.loads, done.stdout.splitlines())}
    assert list(reports) == ["env", "tests", "quickstart", "rollout", "decode", "step", "memory"]
    results = {part: report["results"] for part, report in reports.items()}
    machine = reports["env"]["machine"]
    engines = ["native", "unsloth"] if machine["unsloth"] else ["native"]
    assert results["tests"][0]["tests collected"] > 3
    assert [run["engine"] for run in results["quickstart"]] == engines
    sides = [line["side"] for line in results["rollout"] if (line["rows"], line["lengths"]) == (16, "equal")]
    assert sides == [*engines, "generate-nf4", "generate-16bit"]
    assert {line["tokens"] for line in results["rollout"] if line["lengths"] == "equal"} == {8 * 8, 16 * 8}
    assert all(0 < line["tokens"] < line["rows"] * 8 for line in results["rollout"] if line["lengths"] == "spread")
    assert {line["product"] for line in results["decode"]} == {"gate_up", "down", "between"}
    assert all(line.get("4 bits, ms", line.get("compiled, ms")) > 0 for line in results["decode"])
    for step in results["step"][: len(engines)]:
        assert (step["tokens"], step["rollout_share"] + step["update_share"]) == (2 * 4 * 8, pytest.approx(1, abs=2e-3))
        assert step["planned_rollout_s"] > 0
        assert step["planned_update_s"] > 0
    assert [line["longest_completion"] for line in results["memory"]] == [16] * len(engines)
    for part in reports:
        assert json.loads((tmp_path / f"rehearsal-{part}.json").read_text())["results"] == results[part]
    assert "| native | 8 | equal |" in (tmp_path / "rehearsal-rollout.md").read_text()


@pytest.mark.slow
def test_a_part_that_fails_does_not_keep_the_next_from_running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken" / "peft"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise ImportError('this peft is broken')\n")
    monkeypatch.setenv("PYTHONPATH", str(broken.parent))
    done = kit(tmp_path / "out", "--rehearse", "step", "env")
    assert done.returncode == 1
    step, env = map(json.loads, done.stdout.splitlines())
    assert "this peft is broken" in step["results"][0]["failed"]
    assert env["results"]
