"""The command as people call it: one clear line and a documented exit code for bad input, and nothing written.

What can be wrong with data, rewards, models and fields is tried in their rooms; here, that the command says it.
"""

import json
import shutil
from pathlib import Path

import pytest
from from_outside import call, imported_by

import tina_lite

BASE = Path(tina_lite.__file__).parent / "base"


@pytest.fixture
def folder(quick_recipe: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The recipe's, which is the working directory."""
    monkeypatch.chdir(quick_recipe.parent)
    return quick_recipe.parent


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
        (["quick.yaml", "--set", "rewards=[acuracy]"], "accuracy"),
        (["quick.yaml", "--set", "data.source=arithmetik"], "arithmetic"),
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
        (["quick.yaml", "--max-stepz", "3"], "--max-steps"),
    ],
)
def test_bad_input_is_one_line_exit_2_and_nothing_is_written(folder, tina, arguments, said):
    (folder / "broken.jsonl").write_text('{"question": "1+1?", "answer": "2"}\n{"question": \n')
    (folder / "taken").mkdir()
    (folder / "weightless").mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(BASE / name, folder / "weightless")
    (folder / "taken" / "recipe.yaml").write_text("name: other\n")
    before = sorted(folder.rglob("*"))
    result = tina("run", *arguments)
    assert (result.code, result.out) == (2, ""), result.err
    assert said in result.err
    assert len(result.err.strip().splitlines()) == 1, result.err
    assert sorted(folder.rglob("*")) == before


def test_a_recipe_that_does_not_fit_the_model_leaves_no_folder(folder, tina):
    """This shows only once the model is there, after the run has said hello."""
    result = tina("run", "quick.yaml", "--set", "lora.target_modules=[query]")
    assert result.code == 2
    assert "q_proj" in result.err.splitlines()[-1]
    assert [path.name for path in folder.iterdir()] == ["quick.yaml"]


def test_a_budget_too_small_for_one_step_is_exit_3(folder, tina):
    result = tina("run", "quick.yaml", "--max-usd", "0.00001")
    assert result.code == 3
    assert len(result.err.strip().splitlines()) == 1
    assert not (folder / "runs").exists()


def test_json_is_one_event_a_line_and_nothing_else(folder, tina):
    result = tina("run", "quick.yaml", "--json", "--out", "out")
    assert (result.code, result.err) == (0, "")
    events = [json.loads(line) for line in result.out.splitlines()]
    assert events[0]["event"] == "run_started"
    assert sum(event["event"] == "step" for event in events) == 3
    summary = json.loads((folder / "out" / "summary.json").read_text())
    assert events[-1]["summary"] == summary


def test_a_pipe_gets_plain_lines_and_the_path_of_the_summary(folder, tina):
    """The first as a process of its own, as all the others are for people."""
    first, _ = call("run", "quick.yaml", cwd=folder)
    assert (first.returncode, first.stdout) == (0, "runs/quick/summary.json\n"), first.stderr
    assert "\x1b" not in first.stderr
    assert "step 3/3" in first.stderr
    assert tina("run", "quick.yaml", "--max-steps", "1").out == "runs/quick-2/summary.json\n"


def test_local_data_is_trained_on_and_what_is_skipped_is_said(folder, tina):
    long = {"question": "What is " + "1+" * 80 + "1?", "answer": "81"}
    good = [{"question": f"What is {n}+1?", "answer": str(n + 1)} for n in range(20)]
    rows(folder / "mine.jsonl", *good, {"question": "no answer", "answer": None}, long)
    result = tina("run", "quick.yaml", "--set", "data.source=mine.jsonl", "--max-steps", "6")
    assert result.code == 0, result.err
    assert "1 rows skipped" in result.err
    assert "1 prompts" in result.err
    assert "max_prompt_length" in result.err


def test_dry_run_shows_the_first_prompt_and_writes_nothing(folder, tina):
    before = sorted(folder.rglob("*"))
    result = tina("run", "quick.yaml", "--dry-run")
    assert result.code == 0, result.err
    assert "<|assistant|><think>" in result.out
    assert sorted(folder.rglob("*")) == before


def test_help_loads_nothing_heavy():
    heavy = ("torch", "transformers", "datasets", "pydantic", "rich", "numpy")
    assert imported_by("from tina_lite.cli.main import outcome\nassert outcome(['--help']) == 0", *heavy) == []


def test_recipes_can_be_listed_shown_and_copied(folder, tina):
    listed = tina("recipes").out
    assert "quickstart" in listed
    assert "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B, GAIR/LIMR, at most $4.00" in " ".join(listed.split())
    assert "builtin:tiny" in tina("recipes", "show", "quickstart").out
    assert tina("recipes", "copy", "quickstart").out == "quickstart.yaml\n"
    assert "exists already" in tina("recipes", "copy", "quickstart").err
