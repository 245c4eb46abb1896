"""Problems from a local file: .jsonl, one JSON object a line, or .json, a list of objects.

Of a .jsonl only the byte offset and the question key of each row stay in memory; rows are parsed again when asked for.
"""

import json
from array import array
from collections.abc import Callable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

from tina_lite.errors import BadInput
from tina_lite.problems.problem_set import ProblemSet, question_key
from tina_lite.problems.rows import Columns, Row, Sieve, find_columns, problem_of, refuse_if_empty
from tina_lite.records import Problem

SUFFIXES = (".jsonl", ".json")
ROWS_TO_FIND_COLUMNS = 100
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

GoldParses = Callable[[str], bool]


def find_file(source: str, base_folder: Path | None) -> Path:
    """The file, from the working directory or else from the recipe's folder."""
    folders = [Path()] if base_folder is None else [Path(), base_folder]
    for folder in folders:
        if (folder / source).is_file():
            return folder / source
    searched = dict.fromkeys(str(folder.absolute()) for folder in folders)
    raise BadInput(f"data.source: no file {source} in {' or '.join(searched)}")


def load_file(
    path: Path, prompt: str | None, answer: str | None, limit: int | None, gold_parses: GoldParses
) -> ProblemSet:
    """Every row is read and checked once."""
    read = _JsonLines(path) if path.suffix == ".jsonl" else _JsonList(path)
    rows = read.rows()
    first = list(islice(rows, ROWS_TO_FIND_COLUMNS))
    if not first:
        raise BadInput(f"{path}: no problem in it")
    columns = find_columns(first, str(path), prompt, answer)
    sieve = Sieve(columns, gold_parses)
    usable, keys = array("Q"), array("Q")
    for index, row in enumerate(chain(first, rows)):
        question = sieve.question(row)
        if question is not None:
            usable.append(index)
            keys.append(question_key(question))
        if len(usable) == limit:
            break
    refuse_if_empty(len(usable), sieve.skipped, str(path))
    return ProblemSet(path.stem, _Fetch(read.row, columns), usable, sieve.skipped, keys)


class _Fetch:
    def __init__(self, row: Callable[[int], Row], columns: Columns) -> None:
        self._row = row
        self._columns = columns

    def __call__(self, index: int) -> Problem:
        return problem_of(self._row(index), index, self._columns)


class _JsonLines:
    """A .jsonl file. Blank lines are no rows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._place = path.absolute()  # a program may change its working directory during the run
        self._offsets = array("Q")

    def rows(self) -> Iterator[Row]:
        """All rows in order; notes where each starts."""
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
            return self._parsed(file.readline(), f"{self._path}, row {index} (did the file change since the start?)")

    def _parsed(self, line: bytes, where: str) -> Row:
        try:
            return _as_row(json.loads(line.removeprefix(BYTE_ORDER_MARK)), where)
        except UnicodeDecodeError as error:
            raise BadInput(f"{where}: not UTF-8 ({error.reason} at byte {error.start} of the line)") from error
        except (ValueError, RecursionError) as error:
            raise BadInput(f"{where}: not JSON ({error})") from error


class _JsonList:
    """A .json file: one list of objects. It is held in memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._rows = json.loads(path.read_bytes().removeprefix(BYTE_ORDER_MARK))
        except json.JSONDecodeError as error:
            raise BadInput(f"{path}:{error.lineno}: not JSON ({error.msg} at column {error.colno})") from error
        except (ValueError, RecursionError) as error:
            raise BadInput(f"{path}: not JSON ({error})") from error
        if not isinstance(self._rows, list):
            found = _kind(self._rows)
            raise BadInput(f"{path}: a .json file holds one list of objects, this is {found}; see also .jsonl")

    def rows(self) -> Iterator[Row]:
        return (_as_row(row, f"{self._path}, row {index}") for index, row in enumerate(self._rows))

    def row(self, index: int) -> Row:
        return _as_row(self._rows[index], f"{self._path}, row {index}")


def _as_row(value: Any, where: str) -> Row:
    if isinstance(value, dict):
        return value
    raise BadInput(f"{where}: a row is a JSON object, this is {_kind(value)}")


def _kind(value: object) -> str:
    names: dict[type, str] = {
        dict: "an object",
        list: "a list",
        str: "a text",
        bool: "true or false",
        type(None): "null",
    }
    return names.get(type(value), "a number")
