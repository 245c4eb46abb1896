"""A set of problems that are made when they are asked for, and its split by hash."""

import io
import json
import marshal
import unicodedata
from array import array
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from itertools import compress
from typing import Any, overload

from tina_lite.util.errors import BadInput
from tina_lite.util.records import Problem

DIGEST_BYTES = 16
"""Bytes of a digest."""


def digest_of_rows(rows: Iterable[Any]) -> str:
    """Of what is held in memory; a million rows take a second."""
    found = blake2b(digest_size=DIGEST_BYTES)
    for row in rows:
        try:
            found.update(marshal.dumps(row, 2))  # the version that knows no references: equal rows are equal bytes
        except ValueError:
            found.update(json.dumps(row, default=_text_of, skipkeys=True).encode())
    return found.hexdigest()


def digest_of_table(table: Any) -> str:
    """Of a pyarrow.Table, whose columns are read where they lie."""
    import pyarrow as pa

    sink = _Digesting()
    with pa.ipc.new_stream(sink, table.schema.remove_metadata()) as stream:
        stream.write_table(table.replace_schema_metadata(None))
    return sink.found.hexdigest()


def _text_of(value: object) -> str:
    """Of what JSON lacks; an address in memory says nothing."""
    text = str(value)
    return type(value).__name__ if " at 0x" in text else text


class _Digesting(io.RawIOBase):
    """A file that remembers nothing but its digest."""

    def __init__(self) -> None:
        super().__init__()
        self.found = blake2b(digest_size=DIGEST_BYTES)

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.found.update(data)
        return len(data)


KEY_BITS = 64
DIGESTED = 2048
"""Evenly spaced: to make them takes a fraction of a second."""


HELD_OUT_SINCE = (0, 2, 0)
"""The version of tina-lite that last changed `question_key` or `hold_out`: earlier ones held other problems out."""


def question_key(question: str) -> int:
    """64 bits that two spellings of one question share: case, white space, a final stop, Unicode form do not count.

    >>> question_key("What is  1+1.") == question_key("what is 1+1 ") != question_key("What is 1+2.")
    True
    """
    normal = " ".join(unicodedata.normalize("NFKC", question).split()).casefold().rstrip(". ")
    return int.from_bytes(blake2b(normal.encode("utf-8", "replace"), digest_size=KEY_BITS // 8).digest(), "big")


class ProblemSet(Sequence[Problem]):
    """Holds problems of one source, by position. Rows that cannot be used are left out and counted."""

    def __init__(
        self,
        name: str,
        fetch: Callable[[int], Problem],
        rows: Sequence[int],
        skipped_rows: Mapping[str, Sequence[int]],
        keys: "array[int] | None" = None,
        notes: Sequence[str] = (),
        source_digest: Callable[[], str] | None = None,
    ) -> None:
        """`fetch` makes a source row's problem; `rows` are the usable rows; `keys` their question keys, if known.

        `notes` are what a person should know of how the rows were read. `source_digest` is of all that the source
        holds, reckoned once for all sets of it; None where its problems are made up by rule.
        """
        self.name = name
        self.skipped_rows = skipped_rows
        """Reason -> the rows of the source that were skipped for it."""
        self.notes = tuple(notes)
        self._fetch = fetch
        self._rows = rows
        self._keys = keys
        self.source_digest = source_digest

    @property
    def skipped(self) -> dict[str, int]:
        """How many rows were left out for each reason."""
        return {reason: len(rows) for reason, rows in self.skipped_rows.items()}

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def rows(self) -> Sequence[int]:
        """The source's row of each problem, which is its index."""
        return self._rows

    @overload
    def __getitem__(self, index: int) -> Problem: ...
    @overload
    def __getitem__(self, index: slice) -> "ProblemSet": ...
    def __getitem__(self, index: int | slice) -> "Problem | ProblemSet":
        if isinstance(index, slice):
            keys = None if self._keys is None else self._keys[index]
            return self._of(self._rows[index], keys)
        return self._fetch(self._rows[index])

    def in_row(self, row: int) -> Problem:
        """The problem that stands in this row of the source."""
        return self._fetch(row)

    def keys(self) -> "array[int]":
        """Give the question key of each problem."""
        if self._keys is None:
            self._keys = array("Q", (question_key(problem.question) for problem in self))
        return self._keys

    def where(self, chosen: Sequence[bool]) -> "ProblemSet":
        """The problems at whose position `chosen` is true."""
        keys = array("Q", compress(self.keys(), chosen))
        return self._of(array("Q", compress(self._rows, chosen)), keys)

    def without(self, rows: Collection[int]) -> "ProblemSet":
        """The problems that stand in none of these rows of the source."""
        return self.where([row not in rows for row in self._rows])

    def digest(self) -> str:
        """Of the source, and which of its rows these are; of problems that are made up, of DIGESTED of them."""
        found = blake2b(array("Q", self._rows).tobytes(), digest_size=DIGEST_BYTES)
        if self.source_digest is not None:
            found.update(self.source_digest().encode())
            return found.hexdigest()
        made_up = (self[place] for place in range(0, len(self), max(1, len(self) // DIGESTED)))
        found.update(digest_of_rows([one.question, str(one.gold), dict(one.columns)] for one in made_up).encode())
        return found.hexdigest()

    def repeated(self, rows: Sequence[int], distinct: int) -> "ProblemSet":
        """These rows; r + k x `distinct` is row r asked for the k-th time again, with random numbers of its own."""

        def fetch(row: int) -> Problem:
            return replace(self._fetch(row % distinct), index=row)

        return self._of(rows, None, fetch)

    def map(self, change: Callable[[Problem], Problem]) -> "ProblemSet":
        """The same problems, each changed when it is asked for."""
        return self._of(self._rows, self._keys, lambda row: change(self._fetch(row)))

    def _of(
        self, rows: Sequence[int], keys: "array[int] | None", fetch: Callable[[int], Problem] | None = None
    ) -> "ProblemSet":
        """The same source in other rows."""
        return ProblemSet(
            self.name, fetch or self._fetch, rows, self.skipped_rows, keys, self.notes, self.source_digest
        )


def no_problems(name: str) -> ProblemSet:
    """Make an empty set."""
    return ProblemSet(name, lambda row: Problem(row, "", "", {}), (), {})


def hold_out(problems: ProblemSet, fraction: float) -> tuple[ProblemSet, ProblemSet]:
    """Train and held-out problems; the question alone decides, so duplicates stay together and order plays no part."""
    if not 0 <= fraction < 1:
        raise BadInput(f"cannot hold out {fraction} of {problems.name}: a fraction is 0 or more and less than 1")
    limit = int(fraction * 2**KEY_BITS)
    held = [key < limit for key in problems.keys()]  # noqa: SIM118 (no dictionary)
    train = problems.where([not one for one in held])
    if not train:
        raise BadInput(f"holding out {fraction} of {problems.name}, {len(problems)} problems, leaves none to train on")
    return train, problems.where(held)
