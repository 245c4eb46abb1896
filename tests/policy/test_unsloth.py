"""Both engines on the same model: the same tokens, log-probs, gradients; each in a process of its own."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tina_lite.policy.model_folder import model_folder

SMOLLM2 = Path(os.environ.get("TINA_LITE_TEST_MODEL") or Path.home() / ".cache" / "tina-lite" / "smollm2-135m-instruct")
PROBE = Path(__file__).parent / "engine_probe.py"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.unsloth,
    pytest.mark.skipif(find_spec("unsloth") is None, reason="Unsloth is not installed; make test-unsloth does"),
]


def probe(engine: str, model: str, folder: Path, tokens: int) -> dict[str, Any]:
    folder.mkdir()
    command = [sys.executable, str(PROBE), engine, model, str(folder), str(tokens)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    facts: dict[str, Any] = json.loads((folder / "facts.json").read_text())
    return {
        **facts,
        "stdout": done.stdout,
        "stderr": done.stderr,
        "left": sorted(path.name for path in folder.iterdir()),
        "tensors": load_file(folder / "tensors.safetensors"),
        "adapter": load_file(folder / "adapter" / "adapter_model.safetensors"),
        "config": json.loads((folder / "adapter" / "adapter_config.json").read_text()),
    }


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((model_folder("builtin:tiny"), 24), id="tiny"),
        pytest.param(
            (str(SMOLLM2), 12),
            id="smollm2",
            marks=pytest.mark.skipif(not SMOLLM2.is_dir(), reason=f"needs SmolLM2-135M-Instruct in {SMOLLM2}"),
        ),
    ],
)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, dict]:
    """(native, unsloth) on one model."""
    model, tokens = request.param
    folder = tmp_path_factory.mktemp("engines")
    native, unsloth = (probe(engine, model, folder / engine, tokens) for engine in ("native", "unsloth"))
    return native, unsloth


def test_greedy_completions_are_equal_token_by_token(both) -> None:
    native, unsloth = both
    assert len(native["lengths"]) > 3, "prompts of mixed lengths"
    groups = native["completions"]
    assert (len(groups), {len(group) for group in groups}) == (32, {4})
    assert len({len(ids) for group in groups for ids in group}) > 1, "rows must leave at different times"
    assert len({tuple(ids) for group in groups for ids in group}) > 8
    assert unsloth["completions"] == groups


def test_sampling_is_the_same_again_after_training_mode(both) -> None:
    for engine in both:
        assert engine["after_training"] == engine["completions"]


def test_logprobs_agree(both) -> None:
    native, unsloth = (engine["tensors"] for engine in both)
    for name in ("logprobs", "reference", "entropies"):
        assert (native[name] - unsloth[name]).abs().max() < 1e-3, name
    assert (native["logprobs"] - native["reference"]).abs().max() > 1e-2, "the adapter acts"


def test_gradients_of_every_adapter_tensor_agree(both) -> None:
    native, unsloth = (engine["tensors"] for engine in both)
    names = [name for name in native if name.startswith("gradient.")]
    assert names
    for name in names:
        assert native[name].norm() > 0, name
        assert (native[name] - unsloth[name]).norm() <= 1e-2 * native[name].norm(), name


def test_both_begin_with_the_same_adapter(both) -> None:
    """lora_A is drawn after the same seed; native rounds it to bfloat16."""
    native, unsloth = (engine["drawn"] for engine in both)
    assert native.keys() == unsloth.keys()
    for name, norm in native.items():
        assert norm == pytest.approx(unsloth[name], rel=1e-3), name
        assert (norm == 0) == ("lora_B" in name)


def test_adapters_are_saved_alike(both) -> None:
    native, unsloth = both
    assert (native["dtypes"], unsloth["dtypes"]) == (["torch.bfloat16"], ["torch.float32"])
    assert native["adapter"].keys() == unsloth["adapter"].keys()
    for name, tensor in native["adapter"].items():
        assert torch.equal(tensor.float(), unsloth["adapter"][name].float()), name
    for field in ("base_model_name_or_path", "r", "lora_alpha", "lora_dropout", "task_type", "bias"):
        assert native["config"][field] == unsloth["config"][field], field
    assert sorted(native["config"]["target_modules"]) == sorted(unsloth["config"]["target_modules"])


def test_its_banners_and_its_cache_keep_out_of_the_way(both) -> None:
    native, unsloth = both
    assert native["modules"] == ["transformers"], "the native engine's process never sees Unsloth"
    assert unsloth["modules"] == ["transformers", "unsloth"]
    assert unsloth["stdout"] == native["stdout"] == "done\n"
    assert "bitsandbytes" not in unsloth["stderr"]
    assert unsloth["left"] == native["left"], "no compile cache in the folder that a run starts in"
