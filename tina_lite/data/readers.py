"""Readers of local files. Of a .jsonl or .csv byte offsets stay in memory, a .json is held, a .parquet mapped.

A reader gives all rows in order, once, and then any row by its number. `path` is the file as a person named it, and
`place` where it lies: elsewhere, if it was unpacked.
"""

import csv
import json
import re
import sys
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import copy
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from tina_lite.data.examples import Row
from tina_lite.data.problem_set import digest_of_rows, digest_of_table
from tina_lite.util.disk import digest_of, fault_of_disk
from tina_lite.util.errors import BadInput, NoRoom

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
SNIFFED_ROWS = 100
CHANGED = "(did the file change since the start?)"


class Reader(Protocol):
    """Reads rows of a source, numbered from 0."""

    def share(self, index: int) -> float:
        """How much of the source lies before a row that `rows` has passed, from 0 to 1; 0 where that is not known."""
        ...

    def rows(self, columns: Iterable[str] = ()) -> Iterator[Row]:
        """All rows in order; `columns` are those that will be looked at, others may be left out."""
        ...

    def row(self, index: int) -> Row:
        """One whole row, after `rows` has passed it."""
        ...

    def digest(self) -> str:
        """Of all that the source holds."""
        ...


class JsonlFile:
    """Reads a .jsonl file, one object a line. Blank lines are no rows."""

    def __init__(self, path: Path, place: Path) -> None:
        self._path = path
        self._place = place.absolute()  # a program may change its working directory during the run
        self._offsets = array("Q")

    def share(self, index: int) -> float:
        return self._offsets[index] / self._place.stat().st_size

    def rows(self, columns: Iterable[str] = ()) -> Iterator[Row]:
        self._offsets = array("Q")
        offset = 0
        with self._place.open("rb") as file:
            for number, line in enumerate(file, start=1):
                start, offset = offset, offset + len(line)
                if line.strip().removeprefix(BYTE_ORDER_MARK):
                    self._offsets.append(start)
                    yield self._parsed(line, f"{self._path}:{number}")

    def row(self, index: int) -> Row:
        with self._place.open("rb") as file:
            file.seek(self._offsets[index])
            return self._parsed(file.readline(), f"{self._path}, row {index} {CHANGED}")

    def digest(self) -> str:
        return digest_of(self._place)

    def _parsed(self, line: bytes, where: str) -> Row:
        try:
            return _as_row(json.loads(line.removeprefix(BYTE_ORDER_MARK).decode().rstrip()), where)
        except UnicodeDecodeError as error:
            raise _not_utf8(error, where) from error
        except json.JSONDecodeError as error:
            raise BadInput(f"{where}: not JSON ({error.msg} at column {error.pos + 1}); mend this line") from error
        except (ValueError, RecursionError) as error:
            raise BadInput(f"{where}: not JSON ({error}); mend this line") from error


class Listed:
    """Rows that are held in memory."""

    def __init__(self, rows: Sequence[Any], source: str) -> None:
        self._rows = rows
        self._source = source

    def share(self, index: int) -> float:
        return index / len(self._rows)

    def rows(self, columns: Iterable[str] = ()) -> Iterator[Row]:
        return (self.row(index) for index in range(len(self._rows)))

    def row(self, index: int) -> Row:
        return _as_row(self._rows[index], f"{self._source}, row {index}")

    def digest(self) -> str:
        return digest_of_rows(self._rows)


def json_list(path: Path, place: Path) -> Listed:
    """Read a .json file, which is one list of objects."""
    try:
        rows = json.loads(place.read_bytes().removeprefix(BYTE_ORDER_MARK))
    except json.JSONDecodeError as error:
        raise BadInput(f"{path}:{error.lineno}: not JSON ({error.msg} at column {error.colno})") from error
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path}: not JSON ({error})") from error
    if not isinstance(rows, list):
        raise BadInput(f"{path}: a .json file holds one list of objects, this is {_kind(rows)}; see also .jsonl")
    return Listed(rows, str(path))


class Csv:
    """Reads a .csv or .tsv file with a header. Every value is a text; a cell may hold line breaks.

    What separates its cells is told from the header. Where that is no comma, as where people write 2,5 for two and a
    half, and a cell among the first shows it, all such numbers are read so.
    """

    def __init__(self, path: Path, place: Path) -> None:
        self._path = path
        self._place = place.absolute()
        self._delimiter = _delimiter_of(self._place, "\t" if ".tsv" in path.suffixes else ",")
        self._decimal_commas = False
        self._header: list[str] = []
        self._offsets = array("Q")
        csv.field_size_limit(sys.maxsize)  # a worked solution may be long

    def share(self, index: int) -> float:
        return self._offsets[index] / self._place.stat().st_size

    def rows(self, columns: Iterable[str] = ()) -> Iterator[Row]:
        self._offsets = array("Q")
        with self._place.open("rb") as file:
            lines = _JsonlRows(file, self._path)
            cells = self._cells(lines)
            self._header = self._next(cells, lines) or []
            self._decimal_commas = self._delimiter != "," and self._shows_decimal_commas()
            twice = next((name for name in self._header if self._header.count(name) > 1), None)
            if twice is not None:
                raise BadInput(f"{self._path}:1: two columns are named {twice!r}; rename one")
            while True:
                start = lines.offset
                row = self._next(cells, lines)
                if row is None:
                    return
                if row:
                    self._offsets.append(start)
                    yield self._as_row(row, f"{self._path}:{lines.number}")

    def row(self, index: int) -> Row:
        where = f"{self._path}, row {index} {CHANGED}"
        with self._place.open("rb") as file:
            file.seek(self._offsets[index])
            lines = _JsonlRows(file, self._path)
            return self._as_row(self._next(self._cells(lines), lines) or [], where)

    def digest(self) -> str:
        return digest_of(self._place)

    def _shows_decimal_commas(self) -> bool:
        """2,5 or 12,25: three digits may be thousands."""
        with self._place.open("rb") as file:
            first = islice(self._cells(_JsonlRows(file, self._path)), SNIFFED_ROWS)
            with suppress(csv.Error):  # said where the row is read
                return any(re.fullmatch(r"[-+]?\d+,(\d{1,2}|\d{4,})", cell.strip()) for row in first for cell in row)
        return False

    def _cells(self, lines: "_JsonlRows") -> Iterator[list[str]]:
        return csv.reader(lines, delimiter=self._delimiter, strict=True)

    def _next(self, cells: Iterator[list[str]], lines: "_JsonlRows") -> list[str] | None:
        first = lines.number + 1
        try:
            return next(cells, None)
        except csv.Error as error:
            raise BadInput(
                f"{self._path}:{first}: not CSV ({error}); is a quote in the row of this line left open, or single?"
            ) from error

    def _as_row(self, cells: Sequence[str], where: str) -> Row:
        if len(cells) > len(self._header):
            raise BadInput(
                f"{where}: {len(cells)} cells under a header of {len(self._header)}; quote cells that hold a separator"
            )
        return dict(zip(self._header, map(_with_point, cells) if self._decimal_commas else cells))


def _delimiter_of(place: Path, usual: str) -> str:
    """The one that the header has most of outside of quotes; the usual one where none is there."""
    with place.open("rb") as file:
        header = re.sub(r'"[^"]*"', "", file.readline().decode("utf-8", "replace"))
    return max((usual, ",", ";", "\t", "|"), key=header.count)


def _with_point(cell: str) -> str:
    """Write a decimal comma as a point.

    >>> _with_point("1.234,5"), _with_point("-2,5"), _with_point("Hello, 2,5 times")
    ('1234.5', '-2.5', 'Hello, 2,5 times')
    """
    number = re.fullmatch(r"\s*([-+]?\d+(?:\.\d{3})*),(\d+)\s*", cell)
    return f"{number[1].replace('.', '')}.{number[2]}" if number else cell


class _JsonlRows:
    """Decoded lines of a file, and how far they were read: the csv module never reads ahead of its row."""

    def __init__(self, file: Iterable[bytes], path: Path) -> None:
        self._file = iter(file)
        self._path = path
        self.offset = 0
        """Bytes, from where reading began."""
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._file)
        self.offset += len(line)
        self.number += 1
        try:
            return line.removeprefix(BYTE_ORDER_MARK).decode()
        except UnicodeDecodeError as error:
            raise _not_utf8(error, f"{self._path}:{self.number}") from error


class DatasetRows:
    """A data set of `datasets`, which keeps its rows on disk."""

    def __init__(self, dataset: Any) -> None:
        for name, feature in dataset.features.items():
            if (raw := _undecoded(feature)) != feature:
                dataset = dataset.cast_column(name, raw)
        self._dataset = dataset
        self._as_said = as_said(dataset.features)

    def share(self, index: int) -> float:
        return index / len(self._dataset)

    def rows(self, columns: Iterable[str] = ()) -> Iterator[Row]:
        outer = {name.partition(".")[0] for name in columns}.union(columns)
        wanted = [name for name in self._dataset.column_names if name in outer]
        rows: Iterable[Row] = self._dataset.select_columns(wanted) if wanted else self._dataset
        return map(self._as_said, rows)

    def row(self, index: int) -> Row:
        return self._as_said(self._dataset[index])

    def digest(self) -> str:
        return digest_of_table(self._dataset.data.table)


def _undecoded(feature: Any) -> Any:
    """The type without the decoding of pictures and sounds: whether there are any is enough."""
    if getattr(feature, "decode", False):
        raw = copy(feature)
        raw.decode = False
        return raw
    if hasattr(feature, "feature"):
        return type(feature)(_undecoded(feature.feature))
    return feature


def as_said(features: Mapping[str, Any] | None) -> Callable[[Row], Row]:
    """What makes of a row of `datasets` the one that was meant."""
    say = _said_by(dict(features or {})) or (lambda row: row)
    return lambda row: say(row)


def _said_by(feature: Any) -> Callable[[Any], Any] | None:
    """What makes of a value of this type the one that was meant; None where they are the same.

    A number of 32 bits is the shortest that has them: 132.04, and not 132.0399932861328. The number of a class is its
    name.
    """
    import datasets
    import numpy as np

    if isinstance(feature, datasets.ClassLabel):
        return lambda value: feature.int2str(value) if value is not None and value >= 0 else None
    if isinstance(feature, datasets.Value):
        if feature.dtype not in ("float32", "float16"):
            return None
        kind = np.dtype(feature.dtype).type
        return lambda value: None if value is None else float(str(kind(value)))
    if isinstance(feature, dict):
        inside = {name: say for name, one in feature.items() if (say := _said_by(one)) is not None}
        if not inside:
            return None
        return lambda row: row and {name: inside[name](one) if name in inside else one for name, one in row.items()}
    of_one = _said_by(feature.feature) if hasattr(feature, "feature") else None
    return None if of_one is None else lambda value: value and [of_one(one) for one in value]


def parquet(path: Path, place: Path) -> DatasetRows:
    """Read a .parquet file, turned once into a mapped file in the cache of `datasets`."""
    import datasets

    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # what is wrong is said below
    try:
        return DatasetRows(datasets.Dataset.from_parquet(str(place)))
    except Exception as error:  # pyarrow's kinds have none in common
        if (fault := fault_of_disk(error)) is not None:
            raise NoRoom(
                f"{path}: is read by way of {datasets.config.HF_DATASETS_CACHE}, which cannot be written "
                f"({fault.strerror}); make room there, or name another folder in HF_DATASETS_CACHE"
            ) from error
        reason = f"{' '.join(str(error).split()):.200}"
        raise BadInput(f"{path}: not a .parquet file that can be read ({reason}); copy or download it again") from error


class Joined:
    """Reads several sources, one after the other."""

    def __init__(self, readers: Sequence[Reader]) -> None:
        self._readers = readers
        self._starts = [0]

    def share(self, index: int) -> float:
        which, inside = self._place_of(index)
        return (which + self._readers[which].share(inside)) / len(self._readers)

    def rows(self, columns: Iterable[str] = ()) -> Iterator[Row]:
        self._starts = [0]
        wanted = list(columns)
        for reader in self._readers:
            self._starts.append(self._starts[-1])
            for row in reader.rows(wanted):
                self._starts[-1] += 1
                yield row

    def row(self, index: int) -> Row:
        which, inside = self._place_of(index)
        return self._readers[which].row(inside)

    def digest(self) -> str:
        return " ".join(reader.digest() for reader in self._readers)

    def _place_of(self, index: int) -> tuple[int, int]:
        """The reader of a row, and the row's number in it."""
        which = bisect_right(self._starts, index) - 1
        return which, index - self._starts[which]


def _not_utf8(error: UnicodeDecodeError, where: str) -> BadInput:
    return BadInput(f"{where}: not UTF-8 ({error.reason} at byte {error.start} of the line); save the file as UTF-8")


def _as_row(value: Any, where: str) -> Row:
    if isinstance(value, dict):
        return value
    raise BadInput(f"{where}: a row is a JSON object, this is {_kind(value)}")


def _kind(value: object) -> str:
    names: dict[type, str] = {
        dict: "an object",
        str: "a text",
        bool: "true or false",
        int: "a number",
        float: "a number",
        type(None): "null",
    }
    return names.get(type(value), f"a {type(value).__name__}")
