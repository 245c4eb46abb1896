"""A run folder seen from outside, by a process that does not own it: whose it is, and what its events say.

Whatever a log holds that this version does not know, or that is torn, is passed over: looking at a run never fails.
"""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from tina_lite.errors import BadInput
from tina_lite.runs.events import Stamped, from_json
from tina_lite.runs.lock import is_locked


def owner_of(folder: Path) -> int | None:
    """The process that runs this run now, 0 where its number cannot be read; None where none does."""
    try:
        lock = os.open(folder / ".lock", os.O_RDONLY)
    except OSError:
        return None
    try:
        text = os.read(lock, 32).decode(errors="replace").strip() if is_locked(lock) else None
    finally:
        os.close(lock)
    return None if text is None else int(text) if text.isdecimal() else 0


def begins(*events: str) -> tuple[bytes, ...]:
    """How the lines of events.jsonl begin that hold these events: the others, most of them steps, need not be read."""
    return tuple(f'{{"event": "{name}"'.encode() for name in events)


def records(path: Path, begin: tuple[bytes, ...] = (b"",)) -> Iterator[dict[str, Any]]:
    """The JSON objects of a log, line by line, of lines that begin so; none where there is no log."""
    try:
        with path.open("rb") as file:
            for line in file:
                record = _record(line) if line.startswith(begin) else None
                if record is not None:
                    yield record
    except OSError:
        return


class EventLog:
    """events.jsonl as it grows. A resumed run cuts it back, and then it is told from its start again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: tuple[int, int] | None = None
        self._offset = 0
        self._torn = b""
        """A last line that has not come to its end."""

    def news(self) -> tuple[bool, list[bytes]]:
        """Whether what was told before no longer holds, and the lines that have been added since."""
        try:
            with self._path.open("rb") as file:
                stat = os.fstat(file.fileno())
                known, self._file = self._file, (stat.st_dev, stat.st_ino)
                anew = known is not None and (known != self._file or stat.st_size < self._offset)
                if anew:
                    self._offset, self._torn = 0, b""
                file.seek(self._offset)
                added = file.read()
        except OSError:
            return False, []
        self._offset += len(added)
        *lines, self._torn = (self._torn + added).split(b"\n")
        return anew, lines


def events_in(path: Path) -> list[Stamped]:
    """A log as it is now."""
    return [stamped for line in EventLog(path).news()[1] for stamped in event_of(line)]


def event_of(line: bytes) -> tuple[Stamped, ...]:
    """The event of a log's line, if it holds one that this version knows."""
    record = _record(line)
    with suppress(BadInput):
        return () if record is None else (from_json(record),)
    return ()


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line.decode("utf-8", errors="replace"))
    except ValueError:
        return None
    return record if isinstance(record, dict) else None
