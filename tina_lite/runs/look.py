"""A run folder seen from outside, by a process that does not own it: whose it is, and what its events say.

Whatever a log holds that this version does not know, or that is torn, is passed over: looking at a run never fails.
"""

import errno
import json
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from tina_lite.recipe import Recipe
from tina_lite.recipe.load import at_other_places
from tina_lite.runs.events import PhaseChanged, Stamped, from_json
from tina_lite.util.disk import NOFOLLOW
from tina_lite.util.errors import BadInput
from tina_lite.util.records import PhaseName

try:
    import fcntl
except ImportError:  # on Windows, where two processes on one folder are not told apart
    fcntl = None  # type: ignore[assignment]

HELD_BY_ANOTHER = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)
LOCK_WAITS_S = (0.02, 0.1, 0.0)

_held: set[int] = set()
"""Descriptors of locks that this process has."""


def lock_folder(path: Path) -> int:
    """An exclusive lock, by its descriptor; BadInput that names the owner where it is taken."""
    descriptor = os.open(path / ".lock", os.O_RDWR | os.O_CREAT | NOFOLLOW, 0o644)
    if not _taken(descriptor):
        owner = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
        os.close(descriptor)
        raise BadInput(f"{path}: is being written by process {owner}; wait for it or stop it first")
    os.ftruncate(descriptor, 0)
    os.write(descriptor, str(os.getpid()).encode())
    _held.add(descriptor)
    return descriptor


def unlock(descriptor: int) -> None:
    """Let go of a lock."""
    _held.discard(descriptor)
    os.close(descriptor)


def _let_go() -> None:
    """A child that a reward forks must not keep the lock after the run has died."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_let_go)


def _taken(descriptor: int) -> bool:
    """Whether the lock is ours now; who only looks at the folder (look.py) holds it for a moment.

    Some network file systems have no locks: two processes on one folder are then not told apart.
    """
    for wait_s in LOCK_WAITS_S if fcntl else ():
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in HELD_BY_ANOTHER:
                return True
            time.sleep(wait_s)
        else:
            return True
    return fcntl is None


def is_locked(descriptor: int) -> bool:
    """Whether another process has the lock; where there are no locks, none has."""
    try:
        if fcntl:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        pass
    return False


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
    """Follows events.jsonl as it grows. A resumed run cuts it back, and then it is told from its start again."""

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
    stamped = None if record is None else known_event(record)
    return () if stamped is None else (stamped,)


def known_event(record: Mapping[str, Any]) -> Stamped | None:
    """The event of a log's record; None for that of a later version."""
    with suppress(BadInput):
        return from_json(record)
    return None


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line.decode("utf-8", errors="replace"))
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def found_again(recipe: Recipe, run: Path) -> Recipe:
    """The recipe with files that are gone looked for as they stood to the run's folder, and then in that folder.

    What is nowhere keeps its name.
    """
    here, before = run.resolve(), _last_place(run)

    def now(path: str) -> str:
        ways = [os.path.relpath(path, before)] if before else []
        places = [os.path.normpath(here / way) for way in (*ways, os.path.basename(path))]
        return next(filter(os.path.exists, (path, *places)), path)

    return at_other_places(recipe, now)


def refuse_gone(recipe: Recipe) -> None:
    """BadInput where files of a run that is to be gone on with are nowhere."""
    gone: list[str] = []

    def look_at(path: str) -> str:
        if not os.path.exists(path):
            gone.append(path)
        return path

    at_other_places(recipe, look_at)
    if gone:
        raise BadInput(
            f"no longer there: {', '.join(dict.fromkeys(gone))}; put it back, or give its new place with --set, such "
            "as --set data.source=FILE"
        )


def _last_place(run: Path) -> str:
    """Where its folder was when its last session began; empty where no session says so."""
    place = ""
    for started in records(run / "events.jsonl", begins("run_started")):
        place = str(started.get("folder", ""))
    return place if os.path.isabs(place) else ""


# A long log in short: events that come to the state that all of them would, without reading most of the lines.
#
# Of the steps every so many is left, and the best; of the phases between two evaluations, what each of them cost.


WHOLE = 1000
"""The last lines are told as they are: some 250 steps."""
STEPS = 4000
"""So many are left of those before."""
STEP, PHASE, EVAL, STARTED = begins("step", "phase", "eval", "run_started")
_PHASE = re.compile(rb'"usd": ([-+.e\d]+), "phase": "(\w+)"')
_TOTAL = re.compile(rb'"sample": \{.*?"total": ([-+.e\d]+), "advantage"', re.DOTALL)


def in_short(lines: Sequence[bytes]) -> Iterator[Stamped]:
    """The events of a log's lines; every one where there are not many."""
    earlier = lines[:-WHOLE]
    steps, phases = _steps(earlier), _Phases()
    for at, line in enumerate(earlier):
        if line.startswith(PHASE):
            yield from phases.pass_over(line)
        elif not line.startswith(STEP) or at in steps:
            if line.startswith((EVAL, STARTED)):
                yield from phases.told(over=line.startswith(STARTED))
            yield from event_of(line)
    yield from phases.told()
    for line in lines[-WHOLE:]:
        yield from event_of(line)


def _steps(lines: Sequence[bytes]) -> set[int]:
    """Of which steps to tell: by the places of their lines."""
    places = [at for at, line in enumerate(lines) if line.startswith(STEP)]
    if len(places) <= STEPS:
        return set(places)
    totals = ((float(found[1]), at) for at in places if (found := _TOTAL.search(lines[at])))
    return {*places[:: -(-len(places) // STEPS)], max(totals, default=(0.0, places[0]))[1]}


class _Phases:
    """Phases that were passed over, with the dollars that went to each."""

    def __init__(self) -> None:
        self._spent: dict[PhaseName, float] = {}
        self._under_way: tuple[float, PhaseName] | None = None
        """The bill at its begin, and its name; None before the first of a session."""
        self._latest = b""

    def pass_over(self, line: bytes) -> Iterator[Stamped]:
        """The first phase of a session is told at once."""
        found = _PHASE.search(line)
        if found is None:
            return
        if self._under_way is None:
            yield from event_of(line)
        else:
            began, name = self._under_way
            self._spent[name] = self._spent.get(name, 0.0) + float(found[1]) - began
            self._latest = line
        self._under_way = float(found[1]), found[2].decode()  # type: ignore[assignment]

    def told(self, over: bool = False) -> Iterator[Stamped]:
        """Each phase once, as long as it was in all, and the latest as it was; `over` says that a session begins."""
        latest = next(iter(event_of(self._latest)), None)
        if latest is not None and isinstance(latest.event, PhaseChanged):
            usd = latest.usd - sum(self._spent.values())
            for number, (name, spent) in enumerate(self._spent.items()):
                if number:  # the first of them is under way
                    yield replace(latest, usd=usd, event=replace(latest.event, phase=name))
                usd += spent
            yield latest
        self._spent, self._latest = {}, b""
        if over:
            self._under_way = None
