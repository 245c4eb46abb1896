"""Problems from rows that can be read again: from local files, a folder of them, and whatever else has a reader."""

from array import array
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from tina_lite.errors import BadInput
from tina_lite.problems.problem_set import ProblemSet, question_key
from tina_lite.problems.readers import Csv, Joined, JsonLines, Reader, json_list, parquet
from tina_lite.problems.rows import Columns, Selection, Sieve, find_columns, problem_of, refuse_if_empty
from tina_lite.records import Problem

READERS: dict[str, Callable[[Path], Reader]] = {
    ".jsonl": JsonLines,
    ".json": json_list,
    ".csv": Csv,
    ".parquet": parquet,
}
ROWS_TO_FIND_COLUMNS = 100


def find_file(source: str, base_folder: Path | None) -> Path:
    """The file or folder, from the working directory or else from the recipe's folder."""
    folders = [Path()] if base_folder is None else [Path(), base_folder]
    for folder in folders:
        if (folder / source).exists():
            return folder / source
    searched = dict.fromkeys(str(folder.absolute()) for folder in folders)
    raise BadInput(f"data.source: no file {source} in {' or '.join(searched)}")


def is_local(source: str, base_folder: Path | None) -> bool:
    """Whether a source names a data file, be it there or not, or anything else that is there."""
    folders = (Path(), base_folder or Path())
    return source.endswith(tuple(READERS)) or (bool(source) and any((one / source).exists() for one in folders))


def load_file(path: Path, selection: Selection) -> ProblemSet:
    """Every row is read and checked once."""
    if path.is_file() and path.suffix not in READERS:
        raise BadInput(f"data.source: {path} is no {', '.join(READERS)} file")
    return load_rows(_folder(path) if path.is_dir() else READERS[path.suffix](path), path.stem, str(path), selection)


def _folder(path: Path) -> Reader:
    files = sorted(file for file in path.iterdir() if file.suffix in READERS and not file.name.startswith("."))
    if not files:
        raise BadInput(f"data.source: the folder {path} holds no {', '.join(READERS)} file")
    return Joined([READERS[file.suffix](file) for file in files])


def load_rows(reader: Reader, name: str, source: str, selection: Selection) -> ProblemSet:
    """The usable rows of a reader; only their numbers and question keys stay in memory."""
    first = list(islice(reader.rows(), ROWS_TO_FIND_COLUMNS))
    if not first:
        raise BadInput(f"{source}: no problem in it")
    columns = find_columns(first, source, selection)
    sieve = Sieve(columns, selection)
    usable, keys = array("Q"), array("Q")
    looked_at = [columns.question, columns.answer, *(selection.where.columns if selection.where else ())]
    for index, row in enumerate(reader.rows(looked_at)):
        question = sieve.question(index, row)
        if question is not None:
            usable.append(index)
            keys.append(question_key(question))
        if len(usable) == selection.limit:
            break
    refuse_if_empty(len(usable), sieve.skipped, source)
    return ProblemSet(name, _Fetch(reader, columns), usable, sieve.skipped, keys)


class _Fetch:
    def __init__(self, reader: Reader, columns: Columns) -> None:
        self._reader = reader
        self._columns = columns

    def __call__(self, index: int) -> Problem:
        return problem_of(self._reader.row(index), index, self._columns)
