"""Compressed files: unpacked once into the cache, as a run asks for rows by their place in a file."""

import errno
import os
import tempfile
import time
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

from tina_lite.disk import user_folder
from tina_lite.errors import BadInput, NoRoom

SUFFIXES = {".gz": "gzip", ".zst": "zstd"}
OPENINGS = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
"""What such files begin with, whatever they are called."""
BLOCK = 1 << 22
KEPT_S = 30 * 24 * 3600.0
"""An unpacked file that no run has asked for since is removed."""


def plain_name(path: Path) -> Path:
    """The name without its compression.

    >>> [str(plain_name(Path(name))) for name in ("data/mine.jsonl.gz", "mine.csv")]
    ['data/mine.jsonl', 'mine.csv']
    """
    return path.with_suffix("") if path.suffix.lower() in SUFFIXES else path


def compression_of(path: Path) -> str | None:
    """By its first bytes."""
    with path.open("rb") as file:
        first = file.read(max(map(len, OPENINGS)))
    return next((name for opening, name in OPENINGS.items() if first.startswith(opening)), None)


def unpacked(path: Path, compression: str) -> Path:
    """The same file without compression, in the cache. BadInput where it is broken, NoRoom where the disk is full.

    Where the user's cache cannot be written it is a folder for temporary files.
    """
    stat = path.stat()
    key = blake2b(f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns}".encode("utf-8", "replace"), digest_size=16)
    try:
        folder = _cache()
        place = folder / f"{key.hexdigest()}{plain_name(path).suffix.lower()}"
        if place.exists():
            os.utime(place)
            return place
        _drop_old(folder)
        _unpack(path, compression, place)
    except OSError as error:
        why = f"{path}: cannot be unpacked into {error.filename or 'the cache'} ({error.strerror})"
        raise NoRoom(f"{why}; make room there, or name another cache in XDG_CACHE_HOME") from error
    return place


def _cache() -> Path:
    folder = user_folder("XDG_CACHE_HOME", "~/.cache") / "unpacked"
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    folder = Path(tempfile.gettempdir()) / f"tina-lite-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():  # somebody else could change what is learnt from
        raise PermissionError(errno.EACCES, "belongs to another user", str(folder))
    return folder


def _unpack(path: Path, compression: str, place: Path) -> None:
    import pyarrow as pa

    partial = place.with_name(f"{place.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as out:
            try:
                with pa.input_stream(str(path), compression=compression) as packed:
                    while block := packed.read(BLOCK):
                        out.write(block)
            except (pa.ArrowException, OSError) as error:
                if getattr(error, "errno", None) is not None:
                    raise  # of the disk
                said = " ".join(str(error).split())[:200]
                raise BadInput(f"{path}: cannot be unpacked ({said}); copy or download it again") from None
        os.replace(partial, place)
    finally:
        with suppress(OSError):
            partial.unlink()


def _drop_old(folder: Path) -> None:
    for file in folder.iterdir():
        with suppress(OSError):
            if time.time() - file.stat().st_mtime > KEPT_S:
                file.unlink()
