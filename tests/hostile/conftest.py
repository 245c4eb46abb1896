"""A model folder, data and a recipe that are good; each test spoils one thing, and asks the command for a run."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from model_files import SMALL, random_model

RECIPE = """\
name: case
seed: 1
model: {{id: {model}, compute_dtype: float32}}
lora: {{r: 4, alpha: 8, dropout: 0.0}}
data: {{source: ok.jsonl}}
rollout: {{prompts_per_step: 2, num_generations: 2, max_prompt_length: 64, max_completion_length: 8,
          temperature: 1.0, kv_tokens: 1024}}
rewards: [{{name: accuracy, weight: 2}}, {{name: format, weight: 1}}]
optim: {{learning_rate: 1.0e-3}}
budget: {{max_usd: 0.05, rate: 0.20}}
stop: {{max_steps: 1}}
"""
ROWS = [{"question": f"What is {n}+3?", "answer": str(n + 3)} for n in range(40)]


SIZES = {
    **SMALL,
    "vocab_size": 448,
    "tie_word_embeddings": False,
    "bos_token_id": None,
    "eos_token_id": 1,
    "pad_token_id": 0,
}


@pytest.fixture(scope="session")
def good_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small untied llama with random weights, and the shipped base's tokenizer."""
    from tina_lite.policy.pretrained import load_tokenizer

    folder = tmp_path_factory.mktemp("models") / "good"
    random_model(folder, "llama", **SIZES)
    load_tokenizer("builtin:tiny").save_pretrained(folder)
    return folder


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory but for `ok.jsonl`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ok.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return tmp_path


@pytest.fixture
def recipe(place: Path) -> Path:
    """A good one, on the shipped base."""
    path = place / "case.yaml"
    path.write_text(RECIPE.format(model="builtin:tiny"))
    return path


@pytest.fixture
def model(place: Path, good_model: Path) -> Path:
    """A copy that may be spoilt, with `case.yaml` beside it, which names it."""
    folder = place / "mymodel"
    shutil.copytree(good_model, folder)
    (place / "case.yaml").write_text(RECIPE.format(model="./mymodel"))
    return folder


@pytest.fixture
def refused(tina: Callable[..., Any], place: Path) -> Callable[..., str]:
    """The line with which a run is refused: exit code 2, one line or two, no traceback, nothing left behind."""

    def refused(*changes: str, code: int = 2) -> str:
        before = {path: path.stat().st_mtime_ns for path in place.rglob("*") if path.is_file()}
        said = tina("run", "case.yaml", "--plain", "--out", "r", *(part for one in changes for part in ("--set", one)))
        spoken = [line for line in said.err.splitlines() if not re.match(r"\d+:\d\d:\d\d ", line)]
        assert said.code == code, said.err
        assert "Traceback" not in said.err + said.out
        assert 1 <= len(spoken) <= 2, said.err
        assert not (place / "r").exists()
        assert not (place / "runs").exists()
        after = {path: path.stat().st_mtime_ns for path in place.rglob("*") if path.is_file()}
        assert {path: when for path, when in after.items() if "__pycache__" not in str(path)} == before
        return "\n".join(spoken)

    return refused


@pytest.fixture
def matches() -> Callable[[str, str], None]:
    """That a text says what a pattern wants."""

    def check(text: str, pattern: str) -> None:
        assert re.search(pattern, text), text

    return check
