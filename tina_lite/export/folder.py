"""The folder of an export: it does not exist before, is whole once it does, and fits on the disk."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tina_lite.disk import replace_folder
from tina_lite.errors import BadInput, NoRoom

SPARE_BYTES = 64 * 1024**2
"""For what is not weights, and so that the disk is not full to the last byte."""


def refuse_existing(target: Path) -> None:
    """BadInput where an export would overwrite something."""
    if target.exists():
        raise BadInput(f"{target}: exists already and is not overwritten; remove it, or name another folder with --out")


@contextmanager
def new_folder(target: Path, weight_bytes: int) -> Iterator[Path]:
    """A folder to write into, which becomes `target` at the end; what fails leaves nothing behind.

    Raises:
        BadInput: `target` exists.
        NoRoom: the disk has less than `weight_bytes` and a little to spare, or cannot be written.
    """
    refuse_existing(target)
    partial = target.parent / f".{target.name}.partial-{os.getpid()}"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _refuse_without_space(target.parent, weight_bytes + SPARE_BYTES)
        partial.mkdir()
        yield partial
        for path in partial.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        replace_folder(partial, target)
    except OSError as error:
        raise NoRoom(f"{target}: cannot be written ({error.strerror or error}); choose another --out") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _refuse_without_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise NoRoom(
            f"{folder}: {needed / 1024**3:.2f} GiB are needed and {free / 1024**3:.2f} GiB are free; "
            "make room, or choose another disk with --out"
        )
