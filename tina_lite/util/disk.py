"""Writing files that survive a crash: a reader finds the old file or the new one, never half of one.

Nothing here follows a link: what is written in a folder stays in it.
"""

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import file_digest
from pathlib import Path
from typing import Any

from tina_lite.util.errors import NoRoom

ADVICE = "free some space, then go on with --resume"
FRESH = os.O_WRONLY | os.O_CREAT | os.O_EXCL
UMASK = os.umask(0)
os.umask(UMASK)  # it can only be read by setting it: here, where no other thread is yet
NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
"""Where the system has it: Windows has not."""
APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | NOFOLLOW


FULL = (errno.ENOSPC, errno.EDQUOT)
TAKES_NO_MORE = (*FULL, errno.EROFS, errno.EFBIG, errno.EIO)
"""Errors of a disk, whatever is written."""


def fault_of_disk(error: BaseException | None) -> OSError | None:
    """What a disk, or who may write there, had to do with an error of somebody else's library; None where nothing."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (*TAKES_NO_MORE, errno.EACCES, errno.EPERM):
            return error
        error = error.__cause__ or error.__context__
    return None


def shipped_folder(name: str) -> Path | None:
    """A folder that ships with the package, beside it in a checkout; None where it is missing."""
    package = Path(__file__).parents[1]
    return next((place for place in (package / name, package.parent / name) if place.is_dir()), None)


def user_folder(variable: str, by_default: str) -> Path:
    """Give tina-lite's own folder below what a variable of the XDG base directories names, such as XDG_CACHE_HOME."""
    folder = os.environ.get(variable, "")
    # Relative paths there are to be passed over, says the XDG base directory specification.
    return (Path(folder) if os.path.isabs(folder) else Path(os.path.expanduser(by_default))) / "tina-lite"


def write_file(path: Path, data: bytes) -> None:
    """A file that was not there before; whole and on the disk once this returns."""
    descriptor = os.open(path, FRESH, 0o666)
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
    except OSError as error:
        error.filename = str(path)  # of a descriptor it is not known
        raise
    finally:
        os.close(descriptor)


def write_atomically(path: Path, data: str | bytes) -> None:
    """Write a temporary file, then fsync, rename, and fsync the folder."""
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    try:
        write_file(partial, data.encode() if isinstance(data, str) else data)
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def digest_of(path: Path) -> str:
    """Of a file's content: tells files that differ apart, and is no proof against who wants two alike."""
    import xxhash  # of 3 GB in a second, where hashlib's take two to six

    with path.open("rb") as file:
        return file_digest(file, xxhash.xxh3_128).hexdigest()


def sync_folder(folder: Path) -> None:
    """Make renames in a folder durable, where its file system can: CIFS, 9p and shared folders of VirtualBox cannot."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def retired(folder: Path) -> Path:
    """Under which name a folder waits for its end."""
    return folder.with_name(f".{folder.name}.old")


def replace_folder(new: Path, target: Path) -> None:
    """`new`, whose files are on the disk, takes the place of `target`; who may read them, the umask says.

    A folder cannot be renamed onto another. Whenever the process dies, `target` or `retired(target)` is whole.
    """
    for file in new.iterdir():  # safetensors' writer lets only the owner read its files
        os.chmod(file, 0o666 & ~UMASK)
    sync_folder(new)
    if target.exists():
        remove_folder(retired(target))
        os.rename(target, retired(target))
    os.rename(new, target)
    sync_folder(target.parent)
    remove_folder(retired(target))


def remove_folder(folder: Path) -> None:
    """Away at once under its name, then file by file, so that no half of it is ever found; none is no fault."""
    away = folder if folder.name.startswith(".") else retired(folder)
    if away != folder and folder.exists():
        remove_folder(away)
        os.rename(folder, away)
    if away.exists():
        shutil.rmtree(away)


class JsonLines:
    """Appends to a file of one JSON object a line."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = os.open(path, APPEND, 0o666)

    def append(self, row: Mapping[str, Any]) -> None:
        """NoRoom where the line does not fit on the disk; the file is as it was then."""
        # surrogates cannot be encoded; a model may emit halves of them
        data = (json.dumps(row, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")
        append_line(self._path, self._descriptor, data)

    def size(self) -> int:
        """Bytes."""
        return os.fstat(self._descriptor).st_size

    def sync(self) -> None:
        """To the disk."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)


def append_line(path: Path, descriptor: int, data: bytes, *, durable: bool = False) -> None:
    """The whole line in one write or none of it; NoRoom where the disk is full."""
    size = os.fstat(descriptor).st_size
    try:
        if os.write(descriptor, data) < len(data):
            raise OSError("the disk is full")
        if durable:
            os.fsync(descriptor)
    except OSError as error:
        with suppress(OSError):
            os.ftruncate(descriptor, size)  # half a line would spoil the next one
        raise NoRoom(f"{path}: cannot be written ({error}); {ADVICE}") from error


@contextmanager
def disk_faults(path: Path) -> Iterator[None]:
    """A disk that is full, read-only or gone becomes one line."""
    try:
        yield
    except Exception as error:
        # safetensors has an error of its own for it, and importing it would import torch
        if not isinstance(error, OSError) and type(error).__name__ != "SafetensorError":
            raise
        said = getattr(error, "strerror", None) or error
        raise NoRoom(f"{path}: cannot be written ({said}); {ADVICE}") from error


def cut_back(path: Path, size: int, belongs: Callable[[bytes], bool] = lambda line: False) -> None:
    """Drop what was appended behind the first `size` bytes, and a torn last line; a file that is not there stays so.

    The first line behind them is kept where it `belongs` to them.
    """
    if not path.exists():
        return
    with path.open("r+b") as file:
        kept = file.read(size)
        following = file.readline()
        kept_size = kept.rfind(b"\n") + 1
        if kept_size == size and following.endswith(b"\n") and belongs(following):
            kept_size += len(following)
        file.truncate(kept_size)
        os.fsync(file.fileno())
