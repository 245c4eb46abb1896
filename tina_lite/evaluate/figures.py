"""The figures of a run's own evaluations, kept as they come: what one session measured no other pays for again."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from pydantic import ValidationError

from tina_lite.disk import JsonLines
from tina_lite.records import EvalResult
from tina_lite.runs.look import records
from tina_lite.stateful import adapter


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
        """By benchmark."""
        return self._found.get((when, step), {})

    def keep(self, when: str, step: int, result: EvalResult) -> None:
        """NoRoom on a full disk."""
        self._add(when, step, result)
        if self._place is not None:
            log = JsonLines(self._place())
            log.append({"when": when, "step": step, **asdict(result)})
            log.sync()
            log.close()

    def _add(self, when: str, step: int, result: EvalResult) -> None:
        self._found.setdefault((when, step), {})[result.benchmark] = result
