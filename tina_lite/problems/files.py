"""Problems from rows that can be read again: from local files, a folder of them, and whatever else has a reader."""

import os
from array import array
from collections.abc import Callable
from functools import cache
from itertools import islice
from pathlib import Path

from tina_lite.errors import BadInput
from tina_lite.hub import LFS_POINTER
from tina_lite.problems.folders import folder_reader
from tina_lite.problems.problem_set import ProblemSet
from tina_lite.problems.readers import BYTE_ORDER_MARK, Csv, JsonLines, Reader, json_list, parquet
from tina_lite.problems.rows import Columns, Selection, Sieve, find_columns, problem_of, refuse_if_empty
from tina_lite.problems.unpacked import compression_of, plain_name, unpacked
from tina_lite.records import Problem

READERS: dict[str, Callable[[Path, Path], Reader]] = {
    ".jsonl": JsonLines,
    ".ndjson": JsonLines,
    ".json": json_list,
    ".csv": Csv,
    ".tsv": Csv,
    ".parquet": parquet,
}
FOREIGN = {
    LFS_POINTER: "a pointer of Git LFS in the place of the file; fetch it with git lfs pull",
    b"PK\x03\x04": "a zip archive; unpack it first",
}
"""What files begin with that are no data yet, and what to do with them."""
OPENINGS = {b"{": ".jsonl", b"[": ".json", b"PAR1": ".parquet"}
"""Of files whose name says nothing, such as those in the cache of the hub."""
ROWS_TO_FIND_COLUMNS = 100
ROWS_TO_TELL = 2000
"""After so many a progress is told."""
SNIFFED = 4096
"""Bytes from which the kind of a file is told whose name says none."""


def find_file(source: str, base_folder: Path | None) -> Path:
    """The file or folder, from the working directory or else from the recipe's folder."""
    folders = [Path()] if base_folder is None else [Path(), base_folder]
    for folder in folders:
        if os.path.exists(folder / source):
            return folder / source
        if os.path.islink(folder / source):
            raise BadInput(
                f"data.source: {folder / source} is a link to {os.readlink(folder / source)}, which is no file"
            )
    searched = dict.fromkeys(str(folder.absolute()) for folder in folders)
    raise BadInput(f"data.source: no file {source} in {' or '.join(searched)}")


def is_local(source: str, base_folder: Path | None) -> bool:
    """Whether a source names a data file, be it there or not, or anything else that is there."""
    folders = (Path(), base_folder or Path())
    named = plain_name(Path(source)).suffix.lower() in READERS
    return named or (bool(source) and any(os.path.exists(one / source) for one in folders))


def load_file(path: Path, selection: Selection) -> ProblemSet:
    """Every row is read and checked once."""
    try:
        reader = folder_reader(path, selection.splits, READERS, _reader) if path.is_dir() else _reader(path)
        return load_rows(reader, plain_name(path).stem, str(path), selection)
    except OSError as error:
        advice = "; let this user read it" if isinstance(error, PermissionError) else ""
        raise BadInput(f"{error.filename or path}: cannot be read ({error.strerror}){advice}") from error


def _reader(path: Path) -> Reader:
    """By the file's name, and by its content where that says otherwise: .json is often JSON Lines."""
    compression = compression_of(path)
    place = path if compression is None else unpacked(path, compression)
    with place.open("rb") as file:
        first = file.read(SNIFFED).removeprefix(BYTE_ORDER_MARK).lstrip()
    for opening, what in FOREIGN.items():
        if first.startswith(opening):
            raise BadInput(f"{path}: is {what}")
    told = (suffix for opening, suffix in OPENINGS.items() if first.startswith(opening))
    named = plain_name(path).suffix.lower()
    suffix = named if named in READERS else next(told, "")
    if not suffix:
        raise BadInput(f"data.source: {path} is no {', '.join(READERS)} file")
    return (JsonLines if suffix == ".json" and _is_lines(place) else READERS[suffix])(path, place)


def _is_lines(path: Path) -> bool:
    """Whether the first line is an object by itself, and not the whole file."""
    with path.open("rb") as file:
        first, more = file.readline().removeprefix(BYTE_ORDER_MARK).strip(), file.readline()
    return bool(more.strip()) and first.startswith(b"{") and first.endswith(b"}")


def load_rows(reader: Reader, name: str, source: str, selection: Selection) -> ProblemSet:
    """The usable rows of a reader; only their numbers and question keys stay in memory."""
    first = list(islice(reader.rows(), ROWS_TO_FIND_COLUMNS))
    if not first:
        raise BadInput(f"{source}: no problem in it")
    columns = find_columns(first, source, selection)
    sieve = Sieve(columns, selection)
    usable, keys = array("Q"), array("Q")
    options = columns.options.columns if columns.options else ()
    where = selection.where.columns if selection.where else ()
    looked_at = [*columns.questions, *columns.answers, *options, *columns.pictures, *where]
    for index, row in enumerate(reader.rows(looked_at)):
        if selection.progress is not None and index % ROWS_TO_TELL == 0:
            selection.progress(reader.share(index))
        key = sieve.key(index, row)
        if key is not None:
            usable.append(index)
            keys.append(key)
        if len(usable) == selection.data.limit:
            break
    refuse_if_empty(len(usable), sieve.skipped, source)
    fetch = _Fetch(reader, columns, selection)
    return ProblemSet(name, fetch, usable, sieve.skipped, keys, sieve.notes(), cache(reader.digest))


class _Fetch:
    def __init__(self, reader: Reader, columns: Columns, selection: Selection) -> None:
        self._reader = reader
        self._columns = columns
        self._gold_parses = selection.gold_parses

    def __call__(self, index: int) -> Problem:
        return problem_of(self._reader.row(index), index, self._columns, self._gold_parses)
