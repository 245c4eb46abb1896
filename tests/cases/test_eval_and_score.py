"""A model, or completions that somebody has, on columns of one's own."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tina_lite.cli.eval import eval_command
from tina_lite.util.errors import BadInput

FEW = ("--samples", "1", "--max-completion-length", "4", "--rate", "0.2", "--json")
ROWS = [{"query": f"{n}+1=", "gold": {"target": str(n + 1)}, "level": n % 2} for n in range(6)]


@pytest.fixture
def mine(tmp_path, monkeypatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return "mine.jsonl"


def evaluated(*words: str) -> dict:
    done = CliRunner().invoke(eval_command, words)
    if done.exception is not None:
        raise done.exception
    return json.loads(done.stdout)


def test_a_plain_model_on_columns_of_ones_own(mine):
    named = (
        "--prompt",
        "query",
        "--answer",
        "gold.target",
        "--system-prompt",
        "Be brief.",
        "--set",
        "data.where=level > 0",
    )
    report = evaluated("builtin:tiny", "--benchmark", mine, *named, *FEW, "--out", "out")
    (result,) = report["results"]
    assert result["problems"] == 3
    kept = json.loads(Path("out/builtin-tiny/settings.json").read_text())
    assert kept["system_prompt"] == "Be brief."
    asked = json.loads(Path("out/asked.json").read_text())
    assert asked["data"] == {
        "prompt": "query", "answer": "gold.target", "system_prompt": "Be brief.", "where": "level > 0"
    }  # fmt: skip
    assert evaluated("out", "--rescore", "--json")["results"] == report["results"]


def test_what_is_not_there_or_not_known_is_said(mine):
    with pytest.raises(BadInput, match=r"no column 'ask' in mine\.jsonl .*columns: query, gold, level"):
        evaluated("builtin:tiny", "--benchmark", mine, "--prompt", "ask", *FEW)
    with pytest.raises(BadInput, match=r"--set optim\.seed: an evaluation knows data\.prompt, data\.answer"):
        evaluated("builtin:tiny", "--benchmark", mine, "--set", "optim.seed=1", *FEW)


def test_the_columns_of_a_run_are_those_of_its_benchmarks(mine, quick_recipe, tina):
    data = "data={source: mine.jsonl, prompt: query, answer: gold.target}"
    words = ("--set", data, "--set", "stop.max_steps=1", "--set", "rollout.max_completion_length=4")
    assert tina("run", "quick.yaml", *words, "--plain", "--out", "run").code == 0
    assert evaluated("run", "--benchmark", mine, *FEW)["results"][0]["problems"] == 6


def test_completions_under_names_of_ones_own(tmp_path, tina):
    row = {"output": r"So \boxed{3}", "expected": {"value": 3}, "q": "1+2?"}
    (tmp_path / "mine.jsonl").write_text(json.dumps(row) + "\n")
    named = ("--completion", "output", "--answer", "expected.value", "--prompt", "q")
    said = tina("score", "--reward", "accuracy", str(tmp_path / "mine.jsonl"), *named, "--json")
    assert said.code == 0, said.err
    assert json.loads(said.out)["rewards"] == {"accuracy": 1.0}
