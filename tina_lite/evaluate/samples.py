"""What an evaluation has sampled, on disk: a line of JSON for each completion, so that a re-score needs no model and
whatever was killed goes on without sampling anything twice. `tina-lite score` reads the files too.
"""

import json
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tina_lite.answers.gym_gold import GymGold, kept_of
from tina_lite.disk import JsonLines, disk_faults, sync_folder
from tina_lite.errors import BadInput
from tina_lite.records import Completion, Problem

TOO_LONG = "prompt too long"


@dataclass(frozen=True, slots=True)
class Kept:
    """One completion with what is needed to judge it."""

    problem: int
    """Position in the benchmark's source; with `sample` it names the completion, and its random numbers."""
    sample: int
    prompt: str
    """The question, without the chat template."""
    answer: str | list[str]
    """The gold, or golds of which any is right."""
    completion: str
    tokens: int
    finish_reason: str
    """stop, or length: cut off."""
    usd: float
    """What was spent from the end of the completion before it to its own."""
    verifier: Mapping[str, Any] | None = None
    """Of a problem that has one: what it needs (GymGold)."""

    @property
    def gold(self) -> str | list[str]:
        """As `Problem.gold`."""
        return self.answer if self.verifier is None else GymGold(self.answer, self.verifier)


class SampleFile:
    """The completions of one model on one benchmark, kept as they come."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept: dict[int, dict[int, Kept]] = {}
        self._log: JsonLines | None = None
        self.skipped: set[int] = set()
        """Problems whose prompt does not fit the model."""
        self._read()

    def _read(self) -> None:
        """Whole lines; a torn last one is cut off."""
        if not self._path.exists():
            return
        data = self._path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.truncate(self._path, whole)
        for number, line in enumerate(data[:whole].decode("utf-8", "replace").split("\n")[:-1], start=1):
            try:
                row = json.loads(line)
                if row.get("skipped"):
                    self.skipped.add(int(row["problem"]))
                else:
                    kept = Kept(**row)
                    self._kept.setdefault(kept.problem, {}).setdefault(kept.sample, kept)
            except (ValueError, TypeError, KeyError):
                raise BadInput(f"{self._path}:{number}: not a kept completion; restore the file or remove it") from None

    @property
    def groups(self) -> dict[int, list[Kept]]:
        """By problem, in the order of their samples; some may be missing."""
        return {problem: [of[sample] for sample in sorted(of)] for problem, of in sorted(self._kept.items())}

    @property
    def count(self) -> int:
        """Completions."""
        return sum(map(len, self._kept.values()))

    def samples_of(self, problem: Problem) -> Collection[int]:
        """Numbers of the completions that are there."""
        return self._kept.get(problem.index, {}).keys()

    def missing(self, problems: Iterable[Problem], samples: int) -> list[Problem]:
        """Those that have not all their completions yet. BadInput where what is kept was asked something else."""
        return [problem for problem in problems if self._is_missing(problem, samples)]

    def _is_missing(self, problem: Problem, samples: int) -> bool:
        kept = next(iter(self._kept.get(problem.index, {}).values()), None)
        if kept is not None and (kept.prompt, kept.answer) != (_plain(problem.question), _gold(problem)):
            raise BadInput(
                f"{self._path}: problem {problem.index} is another one now; the data has changed, choose another --out"
            )
        return len(self.samples_of(problem)) < samples and problem.index not in self.skipped

    def keep(self, problem: Problem, sample: int, completion: Completion, usd: float) -> None:
        """Append one; a kill of the process does not take it back."""
        one = Kept(
            problem=problem.index,
            sample=sample,
            prompt=_plain(problem.question),
            answer=_gold(problem),
            completion=_plain(completion.text),
            tokens=len(completion.ids),
            finish_reason=completion.finish_reason,
            usd=round(usd, 9),
            **kept_of(problem.answer),
        )
        self._append({name: value for name, value in asdict(one).items() if value is not None})
        self._kept.setdefault(problem.index, {})[sample] = one

    def skip(self, problem: Problem) -> None:
        """Take note that a prompt is too long to be asked."""
        self._append({"problem": problem.index, "skipped": TOO_LONG})
        self.skipped.add(problem.index)

    def _append(self, row: Mapping[str, Any]) -> None:
        if self._log is None:
            with disk_faults(self._path):
                self._log = JsonLines(self._path)
        self._log.append(row)

    def close(self) -> None:
        """All of it is on the disk once this returns; what is kept afterwards opens it again."""
        if self._log is not None:
            with disk_faults(self._path):
                self._log.sync()
                sync_folder(self._path.parent)
            self._log.close()
            self._log = None


def _gold(problem: Problem) -> str | list[str]:
    return [_plain(one) for one in problem.gold] if problem.also else _plain(problem.answer)


def _plain(text: str) -> str:
    """Without the halves of surrogate pairs that a model may emit, which no file takes."""
    return text.encode("utf-8", "backslashreplace").decode()
