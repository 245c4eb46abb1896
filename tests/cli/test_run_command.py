"""The command as people call it: one clear line and a documented exit code for bad input, and nothing written."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import tina_lite

BASE = Path(tina_lite.__file__).parent / "base"
TINA = [sys.executable, "-m", "tina_lite.cli.main"]


def tina(*arguments: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "TINA_LITE_RATE")}
    return subprocess.run(
        [*TINA, *map(str, arguments)],
        cwd=cwd,
        env={**clean, "HF_HUB_OFFLINE": "1", **environment},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def rows(path: Path, *objects: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in objects))
    return path


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none.yaml"], "no such recipe"),
        (["quikstart"], "did you mean quickstart?"),
        (["quick.yaml", "--set", "optim.learning_rte=1"], "did you mean learning_rate?"),
        (["quick.yaml", "--set", "optim.learning_rate"], "field=value"),
        (["quick.yaml", "--stop-when", "rewrd>=0.9 for 5"], "no metric rewrd; did you mean reward?"),
        (
            ["quick.yaml", "--stop-when", "rewards/cosine/mean>1"],
            "no metric rewards/cosine/mean; did you mean rewards/",
        ),
        (["quick.yaml", "--stop-when", "reward=0.9"], "got 'reward=0.9'; needs a metric"),
        (["quick.yaml", "--set", "rollout.num_generations=1"], "a group of one has no advantage"),
        (["quick.yaml", "--set", "rewards=[acuracy]"], "accuracy"),
        (["quick.yaml", "--set", "rewards=[{name: cosine, max_lenght: 3}]"], "max_length"),
        (["quick.yaml", "--set", "data.source=none.jsonl"], "none.jsonl"),
        (["quick.yaml", "--set", "data.source=arithmetik"], "arithmetic"),
        (["quick.yaml", "--set", "data.source=reasoning_gym:chain_sums"], "chain_sum"),
        (["quick.yaml", "--set", "data.source=empty.jsonl"], "empty.jsonl"),
        (["quick.yaml", "--set", "data.source=unanswered.jsonl"], "unanswered.jsonl"),
        (["quick.yaml", "--set", "data.source=good.jsonl", "--set", "data.prompt=qestion"], "question"),
        (["quick.yaml", "--set", "data.source=broken.jsonl"], "broken.jsonl:2"),
        (["quick.yaml", "--model", "./nowhere"], "model.id"),
        (["quick.yaml", "--model", "builtin:tinny"], "builtin:tiny"),
        (["quick.yaml", "--model", "nobody/nothing"], "--model FOLDER"),
        (["quick.yaml", "--model", "./weightless"], "no weights"),
        (["quick.yaml", "--rate", "abc"], "--rate"),
        (["quick.yaml", "--rate", "-1"], "--rate"),
        (["quick.yaml", "--max-usd", "-1"], "budget.max_usd"),
        (["quick.yaml", "--max-steps", "0"], "stop.max_steps"),
        (["quick.yaml", "--max-steps", "many"], "many"),
        (["quick.yaml", "--out", "taken"], "--resume"),
        (["quick.yaml", "--out", "quick.yaml"], "--out"),
        (["quick.yaml", "--resume", "--out", "fresh"], "no run to resume"),
        (["quick.yaml", "--resume"], "--out"),
        (["quick.yaml", "--set", "rollout.max_prompt_length=2"], "max_prompt_length"),
        (["quick.yaml", "--max-stepz", "3"], "--max-steps"),
    ],
)
def test_bad_input_is_one_line_exit_2_and_nothing_is_written(quick_recipe, arguments, said):
    folder = quick_recipe.parent
    rows(folder / "empty.jsonl")
    rows(folder / "good.jsonl", {"question": "1+1?", "answer": "2"})
    rows(folder / "unanswered.jsonl", {"question": "1+1?", "answer": None})
    (folder / "broken.jsonl").write_text('{"question": "1+1?", "answer": "2"}\n{"question": \n')
    (folder / "taken").mkdir()
    (folder / "weightless").mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(BASE / name, folder / "weightless")
    (folder / "taken" / "recipe.yaml").write_text("name: other\n")
    before = sorted(folder.rglob("*"))
    result = tina("run", *arguments, cwd=folder)
    assert result.returncode == 2, result.stderr
    assert said in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    assert result.stdout == ""
    assert sorted(folder.rglob("*")) == before


@pytest.mark.slow
def test_a_recipe_that_does_not_fit_the_model_leaves_no_folder(quick_recipe):
    """This shows only once the model is there, after the run has said hello."""
    result = tina("run", "quick.yaml", "--set", "lora.target_modules=[query]", cwd=quick_recipe.parent)
    assert result.returncode == 2
    assert "q_proj" in result.stderr.splitlines()[-1]
    assert list(quick_recipe.parent.iterdir()) == [quick_recipe]


def test_a_budget_too_small_for_one_step_is_exit_3(quick_recipe):
    result = tina("run", "quick.yaml", "--max-usd", "0.00001", cwd=quick_recipe.parent)
    assert result.returncode == 3
    assert len(result.stderr.strip().splitlines()) == 1
    assert not (quick_recipe.parent / "runs").exists()


@pytest.mark.slow
def test_json_is_one_event_a_line_and_nothing_else(quick_recipe):
    result = tina("run", "quick.yaml", "--json", "--out", "out", cwd=quick_recipe.parent)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert events[0]["event"] == "run_started"
    assert sum(event["event"] == "step" for event in events) == 3
    summary = json.loads((quick_recipe.parent / "out" / "summary.json").read_text())
    assert events[-1]["summary"] == summary


@pytest.mark.slow
def test_a_pipe_gets_plain_lines_and_the_path_of_the_summary(quick_recipe):
    result = tina("run", "quick.yaml", cwd=quick_recipe.parent)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "runs/quick/summary.json\n"
    assert "\x1b" not in result.stderr
    assert "step 3/3" in result.stderr
    again = tina("run", "quick.yaml", cwd=quick_recipe.parent)
    assert again.stdout == "runs/quick-2/summary.json\n"


@pytest.mark.slow
def test_local_data_is_trained_on_and_what_is_skipped_is_said(quick_recipe):
    folder = quick_recipe.parent
    long = {"question": "What is " + "1+" * 80 + "1?", "answer": "81"}
    good = [{"question": f"What is {n}+1?", "answer": str(n + 1)} for n in range(20)]
    rows(folder / "mine.jsonl", *good, {"question": "no answer", "answer": None}, long)
    result = tina("run", "quick.yaml", "--set", "data.source=mine.jsonl", "--max-steps", "6", cwd=folder)
    assert result.returncode == 0, result.stderr
    assert "1 rows skipped" in result.stderr
    assert "1 prompts" in result.stderr
    assert "max_prompt_length" in result.stderr


def test_dry_run_shows_the_first_prompt_and_writes_nothing(quick_recipe):
    before = sorted(quick_recipe.parent.rglob("*"))
    result = tina("run", "quick.yaml", "--dry-run", cwd=quick_recipe.parent)
    assert result.returncode == 0, result.stderr
    assert "<|assistant|><think>" in result.stdout
    assert sorted(quick_recipe.parent.rglob("*")) == before


def test_help_loads_nothing_heavy(tmp_path):
    heavy = ("torch", "transformers", "datasets", "pydantic", "rich", "numpy")
    code = f"""
import sys
sys.argv = ["tina-lite", "--help"]
from tina_lite.cli.main import main
try:
    main()
except SystemExit as done:
    assert not done.code
loaded = [name for name in {heavy} if name in sys.modules]
assert not loaded, loaded
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert result.returncode == 0, result.stderr
    assert "run" in result.stdout


def test_recipes_can_be_listed_shown_and_copied(tmp_path):
    listed = tina("recipes", cwd=tmp_path).stdout
    assert "quickstart" in listed
    assert "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B, GAIR/LIMR, at most $4.00" in " ".join(listed.split())
    assert "builtin:tiny" in tina("recipes", "show", "quickstart", cwd=tmp_path).stdout
    assert tina("recipes", "copy", "quickstart", cwd=tmp_path).stdout == "quickstart.yaml\n"
    assert "exists already" in tina("recipes", "copy", "quickstart", cwd=tmp_path).stderr
