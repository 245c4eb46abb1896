"""A run by its folder, its name or its recipe, wherever one is meant."""

import json
import re
import shutil
from pathlib import Path

import pytest
from whole_runs import quick_recipe_in, summary_of

from tina_lite import load_recipe, run
from tina_lite.cli.arguments import named, run_folder
from tina_lite.recipe import to_yaml
from tina_lite.util.errors import BadInput


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A folder with a recipe called mine and its run of one step, in runs/."""
    folder = tmp_path_factory.mktemp("made")
    recipe = load_recipe(quick_recipe_in(folder), {"name": "mine", "eval.benchmarks": ["held_out"], "eval.problems": 2})
    (folder / "mine.yaml").write_text(to_yaml(recipe))
    run(load_recipe(folder / "mine.yaml", {"stop.max_steps": 1}), out=folder / "runs" / "mine")
    return folder


@pytest.fixture
def here(made, tmp_path, monkeypatch) -> Path:
    shutil.copytree(made, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.mark.parametrize("word", ["mine", "runs/mine", "mine.yaml"])
def test_a_run_is_found_by_each(here, tina, word):
    assert (named(word), run_folder(Path(word))) == ("runs/mine", Path("runs/mine"))
    few = ("--samples", "1", "--max-completion-length", "4", "--rate", "0.2")
    report = json.loads(tina("eval", word, "--compare", "base", *few, "--json").out)
    assert {one["benchmark"] for one in report["results"]} == {"held_out"}, "of a run, where none is named"
    assert tina("report", word, "--markdown").code == 0
    assert tina("resume", word, "--max-steps", "2", "--plain").code == 0
    assert summary_of(here / "runs" / "mine")["steps"] == 2


def test_what_is_there_or_names_none_stands(here):
    (here / "gpt2").mkdir()
    assert [named(word) for word in ("gpt2", "me/mine", "builtin:tiny", "yours")] == [
        "gpt2", "me/mine", "builtin:tiny", "yours"
    ]  # fmt: skip
    with pytest.raises(BadInput, match="yours: no run folder, and no run of that name in runs/"):
        run_folder(Path("yours"))


def test_a_copy_of_a_recipe_names_its_runs(tmp_path, monkeypatch, tina):
    monkeypatch.chdir(tmp_path)
    assert tina("recipes", "copy", "quickstart", "my first.yaml").code == 0
    assert load_recipe("my first.yaml").name == "my-first"
    assert tina("recipes", "copy", "paper/limr").code == 0
    assert load_recipe("limr.yaml").name == "limr"


def test_too_few_held_out_problems_are_said(quick_recipe, tina, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [{"question": f"What is {n}+1?", "answer": str(n + 1)} for n in range(200)]
    Path("few.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    measured = ("--set", "data={source: few.jsonl}", "--set", "eval.benchmarks=[held_out]")
    said = tina("run", "quick.yaml", "--dry-run", *measured).out
    assert re.search(r"held_out: 1?\d problems are too few to tell what the run gained; raise data\.held_out", said)
