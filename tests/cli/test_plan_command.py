"""`tina-lite plan` as people call it: no torch, JSON for programs, one line for what cannot be planned."""

import json
import os
from pathlib import Path

import pytest
from from_outside import imported_by

from tina_lite.plan import device

FAST = device.CpuSpeed(1e11, 4e11, 2e10, 1e-5, "bfloat16")


@pytest.fixture
def plan(monkeypatch, tina, tmp_path, quick_recipe):
    """Calls `tina-lite plan` on a machine without a card whose CPU is known; gives exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tina_lite.plan.device.usable_card", lambda: None)
    monkeypatch.setattr("tina_lite.plan.device.cpu_speed", lambda hidden, intermediate: FAST)

    def call(*arguments: str) -> tuple[int, str, str]:
        said = tina("plan", *arguments)
        return said.code, said.out, said.err

    return call


def test_for_people_and_for_programs_alike(plan):
    code, text, err = plan("quick.yaml")
    assert (code, err) == (0, "")
    assert "builtin:tiny" in text
    assert "$0.20/h (recipe)" in text
    code, record, _ = plan("quick.yaml", "--json")
    found = json.loads(record)
    assert found["fits"] is True
    assert found["steps"] == 3
    for field in ("seconds_per_step", "hours", "usd"):
        assert found[field] > 0
    assert found["usd"] == pytest.approx(found["hours"] * 0.20)


def test_options_are_those_of_a_run(plan):
    arguments = (
        "--model",
        "Qwen/Qwen2.5-1.5B",
        "--gpu",
        "4090",
        "--max-steps",
        "7",
        "--rate",
        "1",
        "--set",
        "lora.r=4",
    )
    _, record, _ = plan("quick.yaml", "--json", *arguments)
    found = json.loads(record)
    assert (found["model"], found["device"], found["steps"]) == ("Qwen/Qwen2.5-1.5B", "RTX 4090", 7)
    assert (found["usd_per_hour"], found["rate_source"]) == (1.0, "--rate")


def test_a_card_has_its_own_price(plan, tmp_path):
    recipe = tmp_path / "quick.yaml"
    recipe.write_text(recipe.read_text().replace(", rate: 0.20", ""))
    _, record, _ = plan("quick.yaml", "--json", "--gpu", "L40S")
    assert json.loads(record)["usd_per_hour"] == 1.0
    _, record, _ = plan("quick.yaml", "--json", "--vram", "8")
    assert json.loads(record)["usd"] > 0
    _, record, _ = plan("quick.yaml", "--json")
    assert (json.loads(record)["usd"], json.loads(record)["usd_per_hour"]) == (None, None)


def test_too_little_memory_is_an_answer_not_an_error(plan):
    code, text, _ = plan("quick.yaml", "--model", "Qwen/Qwen2.5-1.5B", "--vram", "2")
    assert code == 0
    assert "DOES NOT FIT" in text
    assert "it fits with --set model.id=" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none.yaml"], "no such recipe"),
        (["quick.yaml", "--gpu", "RTX 4091"], "did you mean RTX 4090?"),
        (["quick.yaml", "--vram", "-1"], "--vram: got -1"),
        (["quick.yaml", "--vram", "much"], "much"),
        (["quick.yaml", "--model", "./nowhere"], "no config.json there"),
        (["quick.yaml", "--run", "nowhere"], "--run: nowhere is no run folder"),
        (["quick.yaml", "--rate", "abc"], "--rate: got abc"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(plan, arguments, said):
    code, out, err = plan(*arguments)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert said in err


def test_the_newest_run_of_that_name_corrects_it(plan, tmp_path):
    folder = tmp_path / "runs" / "quick"
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text((tmp_path / "quick.yaml").read_text())
    (folder / "ledger.jsonl").touch()
    started = {"event": "run_started", "device": json.loads(plan("quick.yaml", "--json")[1])["device"]}
    (folder / "events.jsonl").write_text(json.dumps(started))
    step = {"step_time": 5.0, "tokens_per_second": 10.0, "num_tokens": 200, "completions/mean_length": 12.0}
    (folder / "metrics.jsonl").write_text(json.dumps({**step, "peak_bytes": 10**9}))
    found = json.loads(plan("quick.yaml", "--json")[1])
    assert found["seconds_per_step"] == pytest.approx(5.0)
    named = json.loads(plan("quick.yaml", "--json", "--run", "runs/quick")[1])
    assert named["assumptions"] == found["assumptions"]

    begun = tmp_path / "runs" / "quick-2"
    begun.mkdir()
    (begun / "recipe.yaml").write_text((tmp_path / "quick.yaml").read_text())
    (begun / "ledger.jsonl").touch()
    os.utime(folder / "ledger.jsonl", (1, 1))
    again = json.loads(plan("quick.yaml", "--json")[1])
    assert again["assumptions"] == found["assumptions"], "a newer run without a step hides nothing"


def test_nothing_heavy_is_imported(quick_recipe):
    program = (
        "from tina_lite.cli.main import cli\n"
        f"cli.main(['plan', {str(quick_recipe)!r}, '--gpu', '4090', '--json'], standalone_mode=False)"
    )
    assert imported_by(program, "torch", "transformers", "datasets", "peft", "numpy", "math_verify") == []


def test_a_dry_run_shows_the_same_plan(plan, tina):
    _, planned, _ = plan("quick.yaml")
    shown = tina("run", "quick.yaml", "--dry-run").out
    # What is free changes from one moment to the next; only who reads the data knows the share of an epoch.
    same = [line for line in planned.splitlines() if not any(word in line for word in ("GiB", "peak", "prompts"))]
    assert "of an epoch" in shown
    assert [line for line in same if line not in shown.splitlines()] == []
    assert not Path("runs").exists()
