"""Whole runs under Unsloth: the quickstart learns; what one engine trained goes on and loads under the other."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from from_outside import call, summary_in
from safetensors.torch import load_file

RECIPES = Path(__file__).parents[2] / "recipes"
NEXT = {"native": "unsloth", "unsloth": "native"}
MONEY = ("--rate", "0.2", "--max-usd", "1", "--plain")
SHORT = (
    *("--set", "rollout.prompts_per_step=4", "--set", "eval.problems=4", "--set", "eval.samples=2"),
    *("--set", "stop.max_steps=2"),
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.unsloth,
    pytest.mark.skipif(find_spec("unsloth") is None, reason="Unsloth is not installed; make test-unsloth does"),
]

GENERATE_WITH_PEFT_ALONE = """
import sys
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer
from tina_lite.policy.model_folder import model_folder
folder = model_folder("builtin:tiny")
tokenizer = AutoTokenizer.from_pretrained(folder)
base = AutoModelForCausalLM.from_pretrained(folder)
model = PeftModel.from_pretrained(base, sys.argv[1])
prompt = tokenizer("2+2=", return_tensors="pt")
print(model.generate(**prompt, max_new_tokens=4, do_sample=False).shape[1] - prompt["input_ids"].shape[1])
assert not [name for name in sys.modules if name.split(".")[0] == "unsloth"]
"""


def ran(engine: str, *arguments: str, cwd: Path) -> None:
    """A run under this engine, which must end well."""
    done, _ = call("run", *arguments, "--set", f"model.engine={engine}", *MONEY, cwd=cwd)
    assert done.returncode == 0, done.stderr[-2000:]
    assert f", {engine} on cpu" in done.stderr


def test_the_quickstart_learns(tmp_path: Path) -> None:
    ran("unsloth", str(RECIPES / "quickstart.yaml"), "--out", "out", cwd=tmp_path)
    summary = summary_in(tmp_path / "out")
    assert {"unsloth", "unsloth_zoo"} <= summary["packages"].keys()
    measured = summary["eval"]
    assert measured["after"]["pass_at_1"] - measured["before"]["pass_at_1"] >= 0.40


@pytest.mark.parametrize("first", sorted(NEXT))
def test_the_other_engine_goes_on_measures_and_loads(tmp_path: Path, first: str) -> None:
    ran(first, str(RECIPES / "quickstart.yaml"), "--out", "out", *SHORT, cwd=tmp_path)
    weights = tmp_path / "out" / "adapter" / "adapter_model.safetensors"
    before = load_file(weights)

    other = ("--resume", "--force-recipe", "--out", "out", "--set", "stop.max_steps=4")
    ran(NEXT[first], "out/recipe.yaml", *other, cwd=tmp_path)
    steps = [json.loads(line)["step"] for line in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()]
    assert steps == [1, 2, 3, 4]
    after = load_file(weights)
    assert after.keys() == before.keys()
    moved = [not torch.equal(before[name], after[name]) for name in before if "lora_B" in name]
    assert moved
    assert all(moved)
    assert summary_in(tmp_path / "out")["eval"]["after"]["problems"] == 4, "measured by the engine that went on"

    limits = ("--benchmark", "held_out", "--limit", "4", "--samples", "2", "--json")
    done, _ = call("eval", "out", *limits, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "held_out" in done.stdout
    command = [sys.executable, "-c", GENERATE_WITH_PEFT_ALONE, str(weights.parent)]
    loaded = subprocess.run(command, capture_output=True, text=True, check=False)
    assert loaded.returncode == 0, loaded.stderr[-2000:]
    assert int(loaded.stdout) >= 1
