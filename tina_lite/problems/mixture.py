"""Several sources as one: rows numbered through, no question twice, each source with its share of the prompts."""

from array import array
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import chain
from pathlib import Path

from tina_lite.problems import ProblemSet, load_problems
from tina_lite.problems.rows import Progress
from tina_lite.recipe.schema import DataSection, SourceSection
from tina_lite.records import Problem

ELSEWHERE = "the same question as in another source"


class Mixture:
    """The parts of `data.mixture`, read in order."""

    def __init__(
        self,
        data: DataSection,
        *,
        seed: int,
        base_folder: Path | None,
        watch: Callable[[int, str], None],
        progress: Progress | None = None,
        golds_wanted: bool = True,
    ) -> None:
        """As a Selection has them; `watch` is told rows of the whole, `progress` shares of part after part."""
        self._weights = [part.weight for part in data.mixture]
        self._starts = [0]
        """The first row of each part, and the number of all rows."""
        parts = []
        for part in data.mixture:
            fields = {name: getattr(part, name) for name in SourceSection.model_fields}
            start = self._starts[-1]
            found = load_problems(
                data.model_copy(update={**fields, "mixture": ()}),
                seed=seed,
                base_folder=base_folder,
                watch=lambda row, question, start=start: watch(start + row, question),
                once=True,
                progress=progress,
                golds_wanted=golds_wanted,
            )
            parts.append(found)
            last = max(chain(found.rows, *found.skipped_rows.values()), default=-1)
            self._starts.append(start + last + 1)
        self.problems = self._joined(parts)

    def _joined(self, parts: list[ProblemSet]) -> ProblemSet:
        rows, keys, elsewhere = array("Q"), array("Q"), array("Q")
        seen: set[int] = set()
        for start, part in zip(self._starts, parts):
            own = part.keys()
            for row, key in zip(part.rows, own, strict=True):
                if key in seen:
                    elsewhere.append(start + row)
                else:
                    rows.append(start + row)
                    keys.append(key)
            seen.update(own)
        skipped = {} if not elsewhere else {ELSEWHERE: elsewhere}
        for start, part in zip(self._starts, parts):
            for reason, ones in part.skipped_rows.items():
                skipped.setdefault(reason, array("Q")).extend(start + row for row in ones)

        def fetch(row: int) -> Problem:
            part = self._part_of(row)
            return replace(parts[part].in_row(row - self._starts[part]), index=row)

        notes = [f"{part.name}: {note}" for part in parts for note in part.notes]
        name = "+".join(part.name for part in parts)
        digest = cache(lambda: " ".join(part.digest() for part in parts))
        return ProblemSet(name, fetch, rows, skipped, keys, notes, digest)

    def _part_of(self, row: int) -> int:
        return bisect_right(self._starts, row) - 1

    def weighted(self, train: ProblemSet) -> ProblemSet:
        """Some problems more than once: each part has its share of an epoch, and no problem is left out."""
        of_parts: list[list[int]] = [[] for _ in self._weights]
        for row in train.rows:
            of_parts[self._part_of(row)].append(row)
        whole = max(len(rows) / weight for rows, weight in zip(of_parts, self._weights, strict=True))
        distinct = self._starts[-1]
        repeated = array("Q")
        for rows, weight in zip(of_parts, self._weights, strict=True):
            wanted = round(whole * weight) if rows else 0
            for time in range(-(-wanted // max(1, len(rows)))):
                repeated.extend(row + time * distinct for row in rows[: wanted - time * len(rows)])
        return train.repeated(repeated, distinct)
