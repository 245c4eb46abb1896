"""The run folder: one owner, its files, and the listener that writes the event stream into them.

recipe.yaml  events.jsonl  metrics.jsonl  samples.jsonl  figures.jsonl  ledger.jsonl  checkpoints/  adapter/  evals/
summary.json
"""

import json
import os
import re
import shutil
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tina_lite.runs.events import Progress, Stamped, StepDone
from tina_lite.runs.look import begins, lock_folder, unlock
from tina_lite.util.disk import (
    JsonLines,
    cut_back,
    disk_faults,
    remove_folder,
    replace_folder,
    sync_file,
    write_atomically,
)
from tina_lite.util.errors import BadInput, NoRoom

RUNS = Path("runs")
LOGS = ("events.jsonl", "metrics.jsonl", "samples.jsonl")
LEDGER = "ledger.jsonl"
EVALS = "evals"
MIB = 1024**2
MOST_WARNINGS = 20
BEGUN = (".lock", ".recipe.yaml.partial")
"""What a process that was killed at once leaves of a folder, which is as good as empty."""
STOP = "STOP"
"""A file of this name asks a run to end."""


FAILED = ("bad_input", "no_room", "error")
"""Stop reasons of a run that could not go on."""


def free_folder(parent: Path, name: str) -> Path:
    """Find `parent/name`, or the first of name-2, name-3, ... that does not exist."""
    candidates = (parent / (name if number == 1 else f"{name}-{number}") for number in range(1, 1_000_000))
    return next(path for path in candidates if not path.exists())


def folders_named(parent: Path, name: str) -> list[Path]:
    """Runs that `free_folder` named so; the one that was written to last comes first."""
    numbered = re.compile(re.escape(name) + r"(-\d+)?")
    ledgers = [ledger for ledger in parent.glob("*/ledger.jsonl") if numbered.fullmatch(ledger.parent.name)]
    return [ledger.parent for ledger in sorted(ledgers, key=lambda ledger: ledger.stat().st_mtime, reverse=True)]


def newest_folder(parent: Path, name: str) -> Path:
    """The first of `folders_named`; BadInput where there is none."""
    folders = folders_named(parent, name)
    if not folders:
        raise BadInput(f"--resume: no run named {name} in {parent}/; name its folder with --out")
    return folders[0]


def failed_at_once(path: Path) -> bool:
    """Whether a folder holds a run that failed before its first step: it does not stand in the way of the next try."""
    summary = read_summary(path)
    return summary is not None and summary.get("steps") == 0 and summary.get("stop_reason") in FAILED


def read_summary(path: Path) -> dict[str, Any] | None:
    """Of a run folder, as it stands there; None where it has none that can be read."""
    try:
        summary = json.loads((path / "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return summary if isinstance(summary, dict) else None


def refuse_taken(path: Path) -> None:
    """BadInput where a fresh run cannot start in this folder."""
    if failed_at_once(path):
        return
    if (path / "recipe.yaml").exists() or (path / "ledger.jsonl").exists():
        raise BadInput(f"{path}: holds another run; go on with it by --resume, or choose another folder with --out")
    if path.exists() and (not path.is_dir() or any(entry.name not in BEGUN for entry in path.iterdir())):
        raise BadInput(f"{path}: is in use and is no run folder; choose an empty or new one with --out")


def evaluation_file(evals: Path, when: str, step: int, benchmark: str) -> Path:
    """Where the completions of one of a run's own evaluations lie, in its folder `EVALS`."""
    return evals / f"{when}-{step:06d}" / f"{benchmark}.jsonl"


class RunFolder:
    """An open run folder, locked against a second process. `listener` keeps its logs."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = lock_folder(path)
        self._logs: dict[str, JsonLines] = {}

    @property
    def path(self) -> Path:
        """Where it is: a folder that is moved while a run is in it is followed, where the system says whereto."""
        if not self._is_at(self._path):
            with suppress(OSError):  # there is no /proc but on Linux
                moved = Path(os.readlink(f"/proc/self/fd/{self._lock}")).parent
                self._path = moved if self._is_at(moved) else self._path
        return self._path

    @property
    def is_gone(self) -> bool:
        """Whether it was removed, or moved to where it cannot be followed."""
        return not self._is_at(self.path)

    def _is_at(self, place: Path) -> bool:
        try:
            return os.path.samestat(os.stat(place / ".lock"), os.fstat(self._lock))
        except OSError:
            return False

    @classmethod
    def create(cls, path: Path, recipe_yaml: str) -> "RunFolder":
        refuse_taken(path)
        try:
            if failed_at_once(path):  # nothing was learnt; its bill is kept
                lock = lock_folder(path)
                os.rename(path, free_folder(path.parent, f"{path.name}-failed"))
                unlock(lock)
            path.mkdir(parents=True, exist_ok=True)
            folder = cls(path)
            folder.write_recipe(recipe_yaml)
            folder.checkpoints.mkdir()
            folder._open_logs()
        except OSError as error:
            raise NoRoom(f"{path}: cannot be written ({error.strerror}); choose another folder with --out") from error
        return folder

    @classmethod
    def reopen(cls, path: Path) -> "RunFolder":
        """To go on with a run. BadInput where something in it is a link: what is written in the folder stays in it."""
        _refuse_links(path)
        with disk_faults(path):
            folder = cls(path)
        folder.asked_to_stop()  # of a session that was killed before it heard; whoever resumes wants it to go on
        return folder

    def cut_back(self, log_sizes: Mapping[str, int]) -> None:
        """Drop what the logs hold beyond these sizes, all where none is given; they are open then.

        BadInput where the bill has lost lines.
        """
        with disk_faults(self.path):
            ledger_bytes = self.ledger.stat().st_size if self.ledger.exists() else 0
            if ledger_bytes < log_sizes.get(LEDGER, 0):
                raise BadInput(f"{self.ledger}: is shorter than when the checkpoint was made; restore the bill")
            for name in LOGS:
                cut_back(self.path / name, log_sizes.get(name, 0), _is_checkpoint)
            self._open_logs()

    def require_room(self, needed: int) -> None:
        """NoRoom where the disk has not so many bytes left."""
        free = shutil.disk_usage(self.path).free
        if free < needed:
            raise NoRoom(
                f"{self.path}: {free // MIB} MiB are free, checkpoints and adapter need {-(-needed // MIB)}; "
                "free some space, choose a larger disk with --out, or a smaller lora.r"
            )

    def log_sizes(self) -> dict[str, int]:
        """Measure the bytes of each log."""
        return {LEDGER: self.ledger.stat().st_size, **{name: log.size() for name, log in self._logs.items()}}

    def sync_logs(self) -> None:
        """To the disk: what a checkpoint counts on. The ledger is there always."""
        for log in self._logs.values():
            log.sync()

    def write_recipe(self, recipe_yaml: str) -> None:
        write_atomically(self.path / "recipe.yaml", recipe_yaml)

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def ledger(self) -> Path:
        return self.path / LEDGER

    @property
    def figures(self) -> Path:
        """Of the run's own evaluations."""
        return self.path / "figures.jsonl"

    @property
    def evals(self) -> Path:
        """Completions of the run's own evaluations, as WHEN-STEP/BENCHMARK.jsonl."""
        return self.path / EVALS

    @property
    def adapter(self) -> Path:
        return self.path / "adapter"

    @property
    def best_adapter(self) -> Path:
        """Of the best evaluation, where eval.best keeps it."""
        return self.path / "adapter-best"

    def listener(self, stamped: Stamped) -> None:
        """Write events to events.jsonl, a step's metrics and sample to files of their own."""
        if isinstance(stamped.event, Progress):
            return
        record = stamped.to_json()
        self._logs["events.jsonl"].append(record)
        if isinstance(stamped.event, StepDone):
            self._logs["metrics.jsonl"].append({"step": record["step"], **record["metrics"]})

    def keep_samples(self, rows: Sequence[Mapping[str, Any]]) -> None:
        for row in rows:
            self._logs["samples.jsonl"].append(row)

    def warnings(self) -> list[str]:
        """What the console was told to warn of, over all sessions; the first MOST_WARNINGS."""
        notices = (json.loads(line) for line in self._lines("events.jsonl") if line.startswith(begins("notice")))
        found = dict.fromkeys(one["text"] for one in notices if one["level"] == "warning")
        return list(found)[:MOST_WARNINGS]

    def _lines(self, name: str) -> list[bytes]:
        with suppress(OSError):
            return (self.path / name).read_bytes().split(b"\n")
        return []

    @property
    def reward_error(self) -> Path:
        return self.path / "reward-error.txt"

    def keep_reward_error(self, traceback: str) -> None:
        """The run's first traceback of a reward; later ones are not kept."""
        if not self.reward_error.exists():
            write_atomically(self.reward_error, traceback.encode("utf-8", "backslashreplace"))

    def asked_to_stop(self) -> bool:
        """Whether someone made the file STOP here; it is taken away, so that the run may be resumed."""
        try:
            (self.path / STOP).unlink()
        except OSError:
            return False
        return True

    def replace_adapter(self, save: Callable[[Path], None], adapter: Path) -> None:
        """`save` writes it into a folder of its own, which then takes the place of the last."""
        partial = self.path / f".{adapter.name}.partial"
        remove_folder(partial)
        partial.mkdir()
        save(partial)
        for file in partial.iterdir():
            sync_file(file)
        replace_folder(partial, adapter)

    @property
    def fault(self) -> Path:
        return self.path / "error.txt"

    def keep_fault(self, error: BaseException) -> None:
        """The traceback of what ended the run."""
        text = "".join(traceback.format_exception(error))
        write_atomically(self.fault, text.encode("utf-8", "backslashreplace"))

    def summary(self) -> dict[str, Any] | None:
        """As it stands there."""
        return read_summary(self.path)

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        write_atomically(self.path / "summary.json", json.dumps(summary, indent=2) + "\n")

    def close(self) -> None:
        for log in self._logs.values():
            log.close()
        self.asked_to_stop()  # too late for this session, and no wish for the next
        unlock(self._lock)

    def _open_logs(self) -> None:
        self._logs = {name: JsonLines(self.path / name) for name in LOGS}


def _is_checkpoint(line: bytes) -> bool:
    """Whether a line of events.jsonl says that a checkpoint was made: it stands behind the size that this one knows."""
    return line.startswith(begins("checkpoint"))


def _refuse_links(path: Path) -> None:
    links = [entry.name for entry in path.iterdir() if entry.is_symlink()]
    if links:
        raise BadInput(f"{path / min(links)}: is a link; a run folder holds its files itself: put it in its place")
