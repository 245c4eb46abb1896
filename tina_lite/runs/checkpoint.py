"""Checkpoints: tensors in safetensors, the rest in JSON, a manifest of SHA-256 sums. Nothing loaded can run code.

A checkpoint is written to a temporary folder, synced and renamed, so one that bears its name is whole. Whenever the
process dies, the last one that was saved is still there: older ones go once the new one is on the disk.
"""

import hashlib
import json
import os
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tina_lite.util.disk import remove_folder, replace_folder, write_file
from tina_lite.util.errors import BadInput
from tina_lite.version import VERSION

if TYPE_CHECKING:
    from torch import Tensor

TENSORS, STATE, MANIFEST = "state.safetensors", "state.json", "manifest.json"
FORMAT = 2
"""Of what `save` writes. One that cannot read older checkpoints, or that these cannot read, has another number, and the
package another version."""
FIRST = {"format": 1, "version": "0.1.0"}
"""Of checkpoints that do not say."""
_NAME = re.compile(r"step-(\d{6,12})")
_RETIRED = re.compile(r"\.step-(\d{6,12})\.old")
_LEFT_OVER = re.compile(r"\.step-(\d{6,12})\.(?:old|partial)")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One that is to be saved."""

    step: int
    tensors: "Mapping[str, Tensor]"
    """The learner's state by name."""
    state: Mapping[str, Any]
    """What else is needed to go on; plain JSON."""


@dataclass(frozen=True)
class SavedCheckpoint:
    """One on the disk whose manifest holds. Its tensors are read when they are wanted: that takes torch."""

    step: int
    path: Path
    state: Mapping[str, Any]
    version: str
    """Of tina-lite, that wrote it."""

    @cached_property
    def tensors(self) -> "Mapping[str, Tensor]":
        from safetensors.torch import load_file

        tensors: dict[str, Tensor] = load_file(self.path / TENSORS)
        return tensors


def save(folder: Path, checkpoint: Checkpoint, *, keep: int, keep_steps: Collection[int] = ()) -> Path:
    """Write `folder/step-000050`, then drop all but the newest `keep` and those of `keep_steps`, such as the best.

    What stands there of later steps belongs to a future that was cut back, and goes too. OSError where the disk does
    not take it; the folder holds what it held then.
    """
    from safetensors.torch import save as to_bytes

    target = folder / f"step-{checkpoint.step:06d}"
    partial = folder / f".{target.name}.partial"
    remove_folder(partial)
    folder.mkdir(exist_ok=True)  # not its parents: a run folder that is gone stays gone
    partial.mkdir()
    try:
        tensors = to_bytes({name: tensor.contiguous() for name, tensor in checkpoint.tensors.items()})
        state = json.dumps({"step": checkpoint.step, **checkpoint.state}).encode()
        sums = {name: hashlib.sha256(data).hexdigest() for name, data in ((TENSORS, tensors), (STATE, state))}
        manifest = json.dumps({"format": FORMAT, "version": VERSION, **sums})
        write_file(partial / TENSORS, tensors)
        write_file(partial / STATE, state)
        write_file(partial / MANIFEST, manifest.encode())
        replace_folder(partial, target)
    except OSError:
        remove_folder(partial)
        raise
    _drop_old(folder, checkpoint.step, keep, keep_steps)
    return target


def newest(folder: Path) -> tuple[SavedCheckpoint | None, list[str]]:
    """The newest checkpoint whose manifest holds, and the names of damaged ones that were passed over."""
    damaged: list[str] = []
    for _, path in _newest_first(folder, _NAME, _RETIRED):
        checkpoint = read(path)
        if checkpoint is not None:
            return checkpoint, damaged
        if not path.name.startswith("."):  # one that was on its way out anyway
            damaged.append(path.name)
    return None, damaged


def steps_in(folder: Path) -> list[int]:
    """Steps that have a checkpoint, the newest first."""
    return [step for step, _ in _newest_first(folder, _NAME)]


def set_aside(folder: Path, names: Iterable[str]) -> None:
    """Damaged checkpoints get a name that none has: they neither count among those that are kept nor are pruned."""
    for name in names:
        away = folder / f"damaged-{name}"
        remove_folder(away)
        os.rename(folder / name, away)


def read(path: Path) -> SavedCheckpoint | None:
    """The checkpoint in a folder such as `step-000050`; None where it is damaged.

    BadInput where a later version wrote it: that one can read it.
    """
    try:
        manifest = FIRST | json.loads((path / MANIFEST).read_text())
        if manifest["format"] > FORMAT:
            raise other_version(path, manifest["version"], f"its format {manifest['format']} is newer than {FORMAT}")
        if any(_digest(path / name) != manifest[name] for name in (TENSORS, STATE)):
            return None
        state = json.loads((path / STATE).read_text())
        return SavedCheckpoint(int(state.pop("step")), path, state, str(manifest["version"]))
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError):
        return None


def other_version(path: Path, version: str, why: str) -> BadInput:
    """What to do with a checkpoint that this version cannot go on from; it stays as it is."""
    return BadInput(
        f"{path}: was written by tina-lite {version}, and this is {VERSION}, which cannot go on from it ({why}); go on "
        f"with that version (pip install tina-lite=={version}), or start another run with --out"
    )


def _drop_old(folder: Path, newest_step: int, keep: int, keep_steps: Collection[int]) -> None:
    found = _newest_first(folder, _NAME)
    kept = [step for step, _ in found if step <= newest_step][:keep]
    for step, path in found:
        if step not in kept and (step not in keep_steps or step > newest_step):
            remove_folder(path)
    for _, path in _newest_first(folder, _LEFT_OVER):
        remove_folder(path)


def _newest_first(folder: Path, *patterns: re.Pattern[str]) -> list[tuple[int, Path]]:
    """Steps and folders, no links among them; of one step the one under its own name first."""
    found = [(int(match[1]), path) for path, match in _matches(folder, patterns) if path.is_dir()]
    return sorted(found, key=lambda item: (item[0], not item[1].name.startswith(".")), reverse=True)


def _matches(folder: Path, patterns: Iterable[re.Pattern[str]]) -> Iterable[tuple[Path, re.Match[str]]]:
    for path in folder.iterdir() if folder.is_dir() else ():
        for pattern in patterns:
            if (match := pattern.fullmatch(path.name)) and not path.is_symlink():
                yield path, match


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
