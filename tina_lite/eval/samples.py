"""What an evaluation samples, on disk: a line for each completion, so that none is asked again, nor for a re-score."""

import json
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tina_lite.rollout.sampler import Place, Sampler
from tina_lite.runs.look import records
from tina_lite.util.disk import JsonLines, disk_faults, sync_folder
from tina_lite.util.errors import BadInput
from tina_lite.util.records import Completion, EvalResult, Problem, Prompt
from tina_lite.util.stateful import adapter

TOO_LONG = "prompt too long"
EVAL_STEP = 0
"""The sampler's step number for evaluation; training counts from 1. The same draws each time: results are paired."""


@dataclass(frozen=True, slots=True)
class KeptSample:
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
    """Of a problem that has one."""


class SampleFile:
    """The completions of one model on one benchmark, kept as they come."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept: dict[int, dict[int, KeptSample]] = {}
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
                    kept = KeptSample(**row)
                    self._kept.setdefault(kept.problem, {}).setdefault(kept.sample, kept)
            except (ValueError, TypeError, KeyError):
                raise BadInput(f"{self._path}:{number}: not a kept completion; restore the file or remove it") from None

    @property
    def groups(self) -> dict[int, list[KeptSample]]:
        """By problem, in the order of their samples; some may be missing."""
        return {problem: [of[sample] for sample in sorted(of)] for problem, of in sorted(self._kept.items())}

    @property
    def count(self) -> int:
        """Count completions."""
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
        one = KeptSample(
            problem=problem.index,
            sample=sample,
            prompt=_plain(problem.question),
            answer=_gold(problem),
            completion=_plain(completion.text),
            tokens=len(completion.ids),
            finish_reason=completion.finish_reason,
            usd=round(usd, 9),
            verifier=problem.verifier,
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
                self._path.parent.mkdir(parents=True, exist_ok=True)
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


def sample_missing(
    file: SampleFile,
    sampler: Sampler,
    prompts: Sequence[Prompt],
    samples: int,
    *,
    usd: Callable[[], float],
    out_of_time: Callable[[], bool],
    progress: Callable[[int, int], None],
) -> int:
    """Sample the completions that a file lacks, each kept in it as it ends. Returns how many tokens were drawn.

    `usd` is what was spent so far; `progress` is told (completions done here, to be done here).
    """
    known = {(place, number) for place, one in enumerate(prompts) for number in file.samples_of(one.problem)}
    spent = usd()

    def keep(place: Place, completion: Completion) -> None:
        nonlocal spent
        before, spent = spent, usd()
        file.keep(prompts[place[0]].problem, place[1], completion, spent - before)

    with closing(file):
        return sampler.complete(
            prompts, samples, EVAL_STEP, known=known, finished=keep, out_of_time=out_of_time, progress=progress
        )


class Figures:
    """A file of a line for each figure: when ("before", "step", "after"), at which step, and what it came to.

    Steps are those of one course of training: whoever begins another removes the file.
    """

    def __init__(self, place: Callable[[], Path] | None = None) -> None:
        """`place` says where the file is now; without it nothing outlives the process."""
        self._place = place
        self._found: dict[tuple[str, int], dict[str, EvalResult]] = {}
        for record in records(place()) if place is not None else ():
            try:
                when, step = str(record.pop("when")), int(record.pop("step"))
                self._add(when, step, adapter(EvalResult).validate_python(record))
            except (KeyError, TypeError, ValueError, ValidationError):
                continue  # it is measured again

    def of(self, when: str, step: int) -> dict[str, EvalResult]:
        """Give the figures of each benchmark."""
        return self._found.get((when, step), {})

    def keep(self, when: str, step: int, result: EvalResult) -> None:
        """Write the figures to the disk; NoRoom where it is full."""
        self._add(when, step, result)
        if self._place is not None:
            log = JsonLines(self._place())
            log.append({"when": when, "step": step, **asdict(result)})
            log.sync()
            log.close()

    def _add(self, when: str, step: int, result: EvalResult) -> None:
        self._found.setdefault((when, step), {})[result.benchmark] = result
