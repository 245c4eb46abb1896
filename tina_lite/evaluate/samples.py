"""What an evaluation has sampled, on disk: a line of JSON for each completion, so that a re-score needs no model and
whatever was killed goes on without sampling anything twice. `tina-lite score` reads the files too.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tina_lite.answers.gym_gold import GymGold, kept_of
from tina_lite.disk import sync_folder
from tina_lite.errors import BadInput, NoRoom
from tina_lite.records import Group, Problem

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
    """Its share of the dollars that its batch took."""
    verifier: Mapping[str, Any] | None = None
    """Of a problem that has one: what it needs (GymGold)."""

    @property
    def gold(self) -> str | list[str]:
        """As `Problem.gold`."""
        return self.answer if self.verifier is None else GymGold(self.answer, self.verifier)


class SampleFile:
    """The completions of one model on one benchmark."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.groups: dict[int, list[Kept]] = {}
        """By problem."""
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
                    self.groups.setdefault(kept.problem, []).append(kept)
            except (ValueError, TypeError, KeyError):
                raise BadInput(f"{self._path}:{number}: not a kept completion; restore the file or remove it") from None

    def missing(self, problems: Iterable[Problem], samples: int) -> list[Problem]:
        """Those that have not all their completions yet. BadInput where what is kept was asked something else."""
        return [problem for problem in problems if self._is_missing(problem, samples)]

    def _is_missing(self, problem: Problem, samples: int) -> bool:
        kept = self.groups.get(problem.index, [])
        if kept and (kept[0].prompt, kept[0].answer) != (_plain(problem.question), _gold(problem)):
            raise BadInput(
                f"{self._path}: problem {problem.index} is another one now; the data has changed, choose another --out"
            )
        return len(kept) < samples and problem.index not in self.skipped

    def keep(self, groups: Sequence[Group], usd: float) -> None:
        """Append whole groups, in one piece; on the disk when this returns."""
        count = sum(len(group.completions) for group in groups)
        added = [
            Kept(
                problem=group.prompt.problem.index,
                sample=number,
                prompt=_plain(group.prompt.problem.question),
                answer=_gold(group.prompt.problem),
                completion=_plain(completion.text),
                tokens=len(completion.ids),
                finish_reason=completion.finish_reason,
                usd=round(usd / count, 9),
                **kept_of(group.prompt.problem.answer),
            )
            for group in groups
            for number, completion in enumerate(group.completions)
        ]
        self._append([{name: value for name, value in asdict(one).items() if value is not None} for one in added])
        for one in added:
            self.groups.setdefault(one.problem, []).append(one)

    def skip(self, problem: Problem) -> None:
        """Take note that a prompt is too long to be asked."""
        self._append([{"problem": problem.index, "skipped": TOO_LONG}])
        self.skipped.add(problem.index)

    def _append(self, rows: Sequence[object]) -> None:
        data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
        new = not self._path.exists()
        try:
            with self._path.open("ab") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise NoRoom(
                f"{self._path}: cannot be written ({error.strerror}); free some space and start again"
            ) from error
        if new:
            sync_folder(self._path.parent)


def _gold(problem: Problem) -> str | list[str]:
    return [_plain(one) for one in problem.gold] if problem.also else _plain(problem.answer)


def _plain(text: str) -> str:
    """Without the halves of surrogate pairs that a model may emit, which no file takes."""
    return text.encode("utf-8", "backslashreplace").decode()
