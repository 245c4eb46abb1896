"""An export is whole or not there, overwrites nothing, and is refused where the disk cannot hold it."""

import shutil
from collections import namedtuple

import pytest

from tina_lite.export.folder import new_folder
from tina_lite.util.errors import BadInput, NoRoom

Usage = namedtuple("Usage", "total used free")


def test_it_appears_when_it_is_whole(tmp_path):
    target = tmp_path / "export" / "merged"
    with new_folder(target, 10) as folder:
        (folder / "weights").write_text("all")
        assert not target.exists()
    assert [path.name for path in target.parent.iterdir()] == ["merged"]
    assert (target / "weights").read_text() == "all"


def test_what_fails_leaves_nothing(tmp_path):
    def half(target):
        with new_folder(target, 10) as folder:
            (folder / "weights").write_text("half")
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        half(tmp_path / "merged")
    assert list(tmp_path.iterdir()) == []


def enter(target, weight_bytes):
    with new_folder(target, weight_bytes):
        raise AssertionError("was let in")


def test_what_is_there_is_not_overwritten(tmp_path):
    with pytest.raises(BadInput, match=r"exists already.*--out"):
        enter(tmp_path, 10)


def test_a_full_disk_is_known_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(2**40, 2**40 - 2**30, 2**30))
    with pytest.raises(NoRoom, match=r"3\.06 GiB are needed and 1\.00 GiB are free"):
        enter(tmp_path / "merged", 3 * 2**30)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NoRoom, match="cannot be written"):
        enter(tmp_path / "file" / "merged", 10)
