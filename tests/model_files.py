"""Model folders with random weights, and files of them changed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

SMALL = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 256,
}
"""Sizes that random models of the tests share; each test adds its own."""


def change_json(path: Path, **changes: Any) -> None:
    """Fields of a JSON object; None takes one away."""
    fields = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({name: value for name, value in fields.items() if value is not None}))


def change_tensors(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file({name: tensor.clone() for name, tensor in tensors.items()}, path, metadata={"format": "pt"})


def random_model(folder: Path, kind: str, *, noise: float = 0.0, gain: float = 1.0, **config: Any) -> str:
    """The folder, with a model of a type of transformers, whatever lay there before.

    `noise` on norms and biases, which are 1 and 0 else, and a `gain` on matrices, so that logits differ.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **config))
    for name, tensor in model.named_parameters():
        if "norm" in name or "bias" in name:
            tensor.data.add_(torch.randn_like(tensor) * noise)
        elif tensor.dim() > 1:
            tensor.data.mul_(gain)
    (folder / "model.safetensors").unlink(missing_ok=True)
    model.save_pretrained(folder)
    return str(folder)
