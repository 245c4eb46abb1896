"""Checkpoints: tensors in safetensors, the rest in JSON, a manifest of SHA-256 sums. Nothing loaded can run code.

A checkpoint is written to a temporary folder, synced and renamed, so one that bears its name is whole.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tina_lite.runs.files import sync_file, sync_folder

if TYPE_CHECKING:
    from torch import Tensor

TENSORS, STATE, MANIFEST = "state.safetensors", "state.json", "manifest.json"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    step: int
    tensors: "Mapping[str, Tensor]"
    """The learner's state by name."""
    state: Mapping[str, Any]
    """What else is needed to go on; plain JSON."""


def save(folder: Path, checkpoint: Checkpoint, keep: int) -> Path:
    """Write `folder/step-000050`, then drop all but the newest `keep`."""
    from safetensors.torch import save_file

    target = folder / f"step-{checkpoint.step:06d}"
    partial = folder / f".{target.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    save_file({name: tensor.contiguous() for name, tensor in checkpoint.tensors.items()}, partial / TENSORS)
    (partial / STATE).write_text(json.dumps({"step": checkpoint.step, **checkpoint.state}))
    (partial / MANIFEST).write_text(json.dumps({name: _digest(partial / name) for name in (TENSORS, STATE)}))
    for name in (TENSORS, STATE, MANIFEST):
        sync_file(partial / name)
    sync_folder(partial)
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)
    sync_folder(folder)
    for old in _newest_first(folder)[keep:]:
        shutil.rmtree(old)
    return target


def newest(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """The newest checkpoint whose manifest holds, and the names of damaged ones that were passed over."""
    damaged: list[str] = []
    for path in _newest_first(folder):
        checkpoint = _load(path)
        if checkpoint is not None:
            return checkpoint, damaged
        damaged.append(path.name)
    return None, damaged


def _load(path: Path) -> Checkpoint | None:
    from safetensors.torch import load_file

    try:
        manifest = json.loads((path / MANIFEST).read_text())
        if any(_digest(path / name) != manifest[name] for name in (TENSORS, STATE)):
            return None
        state = json.loads((path / STATE).read_text())
        return Checkpoint(state.pop("step"), load_file(path / TENSORS), state)
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return None


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"), reverse=True)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
