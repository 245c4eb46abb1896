"""Checkpoints: whatever a disk does at whatever moment, a whole one is there afterwards."""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import torch

from tina_lite.runs import checkpoint
from tina_lite.runs.checkpoint import Checkpoint, newest, save
from tina_lite.util.disk import write_atomically
from tina_lite.util.errors import BadInput
from tina_lite.version import VERSION

OPERATIONS = ("open", "write", "fsync", "mkdir", "rename", "unlink", "rmdir")
"""What a checkpoint asks of the operating system."""


def made(step: int) -> Checkpoint:
    return Checkpoint(step, {"a": torch.full((50,), float(step)), "b": torch.arange(7)}, {"held": step})


def steps(folder: Path) -> list[int]:
    return sorted(int(path.name[5:]) for path in folder.iterdir() if path.name.startswith("step-"))


def holds(found: Checkpoint | None, step: int) -> bool:
    return found is not None and found.step == step and torch.equal(found.tensors["a"], made(step).tensors["a"])


class Dead(BaseException):
    """The process is gone: from now on nothing it tries has an effect."""


@contextmanager
def faulty(number: int, fault: str) -> Iterator[list[str]]:
    """Let the `number`-th operation fail, write too little, or be the last that the process does.

    Yields the operations that were asked for.
    """
    asked: list[str] = []
    real = {name: getattr(os, name) for name in OPERATIONS}

    def wrapped(name: str) -> Callable[..., object]:
        def operation(*args: object, **kwargs: object) -> object:
            asked.append(name)
            if len(asked) > number and fault in ("crash", "torn"):
                raise Dead
            if len(asked) == number:
                if fault == "fail":
                    raise OSError(28, "No space left on device")
                if fault == "torn" and name == "write":
                    real["write"](args[0], bytes(args[1])[: len(args[1]) // 2])  # type: ignore[arg-type]
                    raise Dead
                if fault == "short" and name == "write":
                    return real["write"](args[0], bytes(args[1])[: len(args[1]) // 2])  # type: ignore[arg-type]
            return real[name](*args, **kwargs)

        return operation

    with pytest.MonkeyPatch.context() as patch:
        for name in OPERATIONS:
            patch.setattr(os, name, wrapped(name))
        yield asked


def prepared(folder: Path, last: int) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    for step in range(1, last + 1):
        save(folder, made(step), keep=2)
    return folder


def walked(folder: Path, step: int) -> int:
    """How many operations the checkpoint of a step takes."""
    with faulty(0, "") as asked:
        save(folder, made(step), keep=2)
    return len(asked)


@pytest.mark.parametrize("fault", ["fail", "short", "torn", "crash"])
@pytest.mark.parametrize("step", [3, 2], ids=["a new step", "a step that is there already"])
def test_a_fault_at_any_file_operation_leaves_a_whole_checkpoint(tmp_path, step, fault):
    folder = tmp_path / "checkpoints"
    operations = walked(prepared(folder, 2), step)
    assert operations > 15
    for number in range(1, operations + 1):
        prepared(folder, 2)
        with faulty(number, fault), suppress(OSError, Dead):
            save(folder, made(step), keep=2)
        found, damaged = newest(folder)
        assert holds(found, 2) or holds(found, step), f"{fault} at operation {number} of {operations}"
        assert damaged == []
        save(folder, made(step + 1), keep=2)  # and life goes on
        assert holds(newest(folder)[0], step + 1)
        assert not list(folder.glob(".*")), "nothing is left over"


def test_the_walk_can_fail(tmp_path, monkeypatch):
    """The same walk finds the window of a checkpoint that removes the old folder before it renames the new one."""

    def careless(new: Path, target: Path) -> None:
        shutil.rmtree(target, ignore_errors=True)
        os.rename(new, target)

    monkeypatch.setattr(checkpoint, "replace_folder", careless)
    folder = tmp_path / "checkpoints"
    lost = 0
    for number in range(1, walked(prepared(folder, 1), 1) + 1):
        prepared(folder, 1)
        with faulty(number, "crash"), suppress(Dead):
            save(folder, made(1), keep=2)
        lost += newest(folder)[0] is None
    assert lost


@pytest.mark.parametrize(
    "write",
    [
        lambda folder: save(folder, made(1), keep=2),
        lambda folder: write_atomically(folder / "x", b"data"),
    ],
    ids=["checkpoint", "file"],
)
def test_a_name_is_given_to_what_is_on_the_disk_and_is_on_the_disk_then(tmp_path, monkeypatch, write):
    """A power cut may keep a rename and lose what was written without fsync."""
    on_disk: set[tuple[int, int]] = set()
    renamed, fsync = [], os.fsync

    def identity(status: os.stat_result) -> tuple[int, int]:
        return status.st_ino, status.st_mtime_ns

    def synced(descriptor: int) -> None:
        fsync(descriptor)
        on_disk.add(identity(os.fstat(descriptor)))

    def renaming(real: Callable[..., None]) -> Callable[..., None]:
        def rename(source: Path, target: Path) -> None:
            missing = [path for path in (source, *source.rglob("*")) if identity(path.stat()) not in on_disk]
            assert not missing, f"{target} gets its name before {missing} are on the disk"
            real(source, target)
            renamed.append(target)

        return rename

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", synced)
        for name in ("rename", "replace"):
            patch.setattr(os, name, renaming(getattr(os, name)))
        write(tmp_path)
    assert renamed
    assert identity(tmp_path.stat()) in on_disk


def test_one_of_a_later_format_is_refused_and_stays(tmp_path, monkeypatch):
    with monkeypatch.context() as later:
        later.setattr(checkpoint, "FORMAT", checkpoint.FORMAT + 1)
        later.setattr(checkpoint, "VERSION", "7.0.0")
        path = save(tmp_path, made(3), keep=1)
    said = rf"was written by tina-lite 7\.0\.0, and this is {re.escape(VERSION)}, which cannot go on from it"
    with pytest.raises(BadInput, match=said):
        newest(tmp_path)
    assert {file.name for file in path.iterdir()} == {"state.safetensors", "state.json", "manifest.json"}


def test_one_that_says_no_version_is_of_the_first(tmp_path):
    path = save(tmp_path, made(3), keep=1)
    assert checkpoint.read(path).version == VERSION
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps({name: manifest[name] for name in manifest if "state" in name}))
    assert checkpoint.read(path).version == "0.1.0"


def test_the_newest_are_kept_and_those_that_are_named(tmp_path):
    for step in range(1, 7):
        save(tmp_path, made(step), keep=2, keep_steps={2})
    assert steps(tmp_path) == [2, 5, 6]
    assert holds(checkpoint.read(tmp_path / "step-000002"), 2)
    save(tmp_path, made(7), keep=1)
    assert steps(tmp_path) == [7]


def test_what_stands_beyond_a_step_is_cut_back_with_it(tmp_path):
    """A damaged checkpoint was passed over: it must not crowd out those of the run that goes on."""
    prepared(tmp_path, 6)
    (tmp_path / "step-000006" / "state.json").write_text("{}")
    found, damaged = newest(tmp_path)
    assert holds(found, 5)
    assert damaged == ["step-000006"]
    save(tmp_path, made(5), keep=1, keep_steps={6})
    assert steps(tmp_path) == [5]


def test_steps_are_ordered_by_number(tmp_path):
    for step in (999_999, 1_000_000):
        save(tmp_path, made(step), keep=2)
    assert holds(newest(tmp_path)[0], 1_000_000)


@pytest.mark.parametrize("name", [checkpoint.TENSORS, checkpoint.STATE, checkpoint.MANIFEST])
@pytest.mark.parametrize("damage", [b"", b"{}", b"rubbish", b"\xff" * 100, b"[" * 100_000, None])
def test_damage_of_any_file_is_seen(tmp_path, name, damage):
    prepared(tmp_path, 2)
    path = tmp_path / "step-000002" / name
    path.unlink() if damage is None else path.write_bytes(damage)
    found, damaged = newest(tmp_path)
    assert holds(found, 1)
    assert damaged == ["step-000002"]


def test_nothing_that_is_loaded_is_a_pickle_or_a_link(tmp_path):
    import pickle

    prepared(tmp_path / "elsewhere", 2)
    prepared(tmp_path / "here", 1)
    (tmp_path / "here" / "step-000002").symlink_to(tmp_path / "elsewhere" / "step-000002")
    assert holds(newest(tmp_path / "here")[0], 1)
    (tmp_path / "here" / "step-000001" / checkpoint.TENSORS).write_bytes(pickle.dumps(made(1).tensors["a"]))
    assert newest(tmp_path / "here")[0] is None


def test_a_damaged_one_that_is_set_aside_takes_no_place_and_stays(tmp_path):
    prepared(tmp_path, 4)
    (tmp_path / "step-000004" / "state.json").write_text("{}")
    checkpoint.set_aside(tmp_path, newest(tmp_path)[1])
    save(tmp_path, made(6), keep=2)
    assert steps(tmp_path) == [3, 6]
    assert (tmp_path / "damaged-step-000004" / "state.json").exists()


def test_a_persons_copy_is_not_touched(tmp_path):
    prepared(tmp_path, 2)
    for name in ("step-000002-best", "step-2", "my-step-000001"):
        shutil.copytree(tmp_path / "step-000002", tmp_path / name)
    save(tmp_path, made(9), keep=1)
    assert {path.name for path in tmp_path.iterdir()} == {"step-000009", "step-000002-best", "step-2", "my-step-000001"}
