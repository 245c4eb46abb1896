"""Files, folders and the hub's data sets, through `datasets`: splits by the names of files, rows by their place."""

import errno
import os
import tempfile
import time
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any

from tina_lite.data.examples import Columns, Row, Selection, Sieve, find_columns, problem_of, refuse_if_empty
from tina_lite.data.problem_set import ProblemSet, digest_of_rows
from tina_lite.data.readers import (
    BYTE_ORDER_MARK,
    Csv,
    DatasetRows,
    Joined,
    JsonlFile,
    Reader,
    as_said,
    json_list,
    parquet,
)
from tina_lite.util.disk import user_folder
from tina_lite.util.errors import BadInput, NoRoom
from tina_lite.util.hub import LFS_POINTER, REACH_LIMIT_S, repo_and_revision, unreachable, what_mends
from tina_lite.util.records import Problem

SUFFIXES = {".gz": "gzip", ".zst": "zstd"}
COMPRESSED_OPENINGS = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
"""What such files begin with, whatever they are called."""
BLOCK = 1 << 22
KEPT_S = 30 * 24 * 3600.0
"""An unpacked file that no run has asked for since is removed."""


def plain_name(path: Path) -> Path:
    """Give a file's name without its compression.

    >>> [str(plain_name(Path(name))) for name in ("data/mine.jsonl.gz", "mine.csv")]
    ['data/mine.jsonl', 'mine.csv']
    """
    return path.with_suffix("") if path.suffix.lower() in SUFFIXES else path


def compression_of(path: Path) -> str | None:
    """Tell a file's compression by its first bytes."""
    with path.open("rb") as file:
        first = file.read(max(map(len, COMPRESSED_OPENINGS)))
    return next((name for opening, name in COMPRESSED_OPENINGS.items() if first.startswith(opening)), None)


def unpacked(path: Path, compression: str) -> Path:
    """Unpack a file into the cache. BadInput where it is broken, NoRoom where the disk is full.

    Where the user's cache cannot be written it is a folder for temporary files.
    """
    stat = path.stat()
    key = blake2b(f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns}".encode("utf-8", "replace"), digest_size=16)
    try:
        folder = _cache()
        place = folder / f"{key.hexdigest()}{plain_name(path).suffix.lower()}"
        if place.exists():
            os.utime(place)
            return place
        _drop_old(folder)
        _unpack(path, compression, place)
    except OSError as error:
        why = f"{path}: cannot be unpacked into {error.filename or 'the cache'} ({error.strerror})"
        raise NoRoom(f"{why}; make room there, or name another cache in XDG_CACHE_HOME") from error
    return place


def _cache() -> Path:
    folder = user_folder("XDG_CACHE_HOME", "~/.cache") / "unpacked"
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    folder = Path(tempfile.gettempdir()) / f"tina-lite-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():  # somebody else could change what is learnt from
        raise PermissionError(errno.EACCES, "belongs to another user", str(folder))
    return folder


def _unpack(path: Path, compression: str, place: Path) -> None:
    import pyarrow as pa

    partial = place.with_name(f"{place.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as out:
            try:
                with pa.input_stream(str(path), compression=compression) as packed:
                    while block := packed.read(BLOCK):
                        out.write(block)
            except (pa.ArrowException, OSError) as error:
                if getattr(error, "errno", None) is not None:
                    raise  # of the disk
                said = " ".join(str(error).split())[:200]
                raise BadInput(f"{path}: cannot be unpacked ({said}); copy or download it again") from None
        os.replace(partial, place)
    finally:
        with suppress(OSError):
            partial.unlink()


def _drop_old(folder: Path) -> None:
    for file in folder.iterdir():
        with suppress(OSError):
            if time.time() - file.stat().st_mtime > KEPT_S:
                file.unlink()


SAVED = ("dataset_dict.json", "state.json")
"""What `save_to_disk` writes, of several splits and of one."""


def folder_reader(
    path: Path, splits: Sequence[str], suffixes: Collection[str], reader: Callable[[Path], Reader]
) -> Reader:
    """The rows of the first of these splits that is there; `reader` opens a file. BadInput where none is."""
    if any((path / name).is_file() for name in SAVED):
        return _saved(path, splits)
    from datasets.data_files import DataFilesDict, get_data_patterns

    for link in filter(Path.is_symlink, path.rglob("*")):
        link.stat()  # one that leads nowhere is an OSError: it would be passed over
    try:
        patterns = get_data_patterns(str(path.absolute()))
    except FileNotFoundError:
        patterns = {}
    found = DataFilesDict.from_patterns(patterns, base_path=str(path.absolute()), allowed_extensions=list(suffixes))
    by_split = {str(name): [Path(file) for file in files] for name, files in found.items() if files}
    if not by_split:
        raise BadInput(f"data.source: the folder {path} holds no {', '.join(suffixes)} file")
    return Joined([reader(file) for file in by_split[_chosen(path, splits, by_split)]])


def _saved(path: Path, splits: Sequence[str]) -> DatasetRows:
    import datasets

    try:
        found = datasets.load_from_disk(str(path))
    except Exception as error:  # of pyarrow and datasets, which have none in common
        reason = f"{' '.join(str(error).split()):.200}"
        raise BadInput(f"{path}: a data set that cannot be read ({reason}); copy the whole folder again") from error
    by_split = found if isinstance(found, dict) else {"train": found}
    return DatasetRows(by_split[_chosen(path, splits, by_split)])


def _chosen(source: Path | str, splits: Sequence[str], by_split: Collection[str]) -> str:
    for split in splits:
        if split in by_split:
            return split
    raise BadInput(f"data.split: {source} has no split {splits[0]!r}; it has: {', '.join(by_split)}")


READERS: dict[str, Callable[[Path, Path], Reader]] = {
    ".jsonl": JsonlFile,
    ".ndjson": JsonlFile,
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
    """Find a file or folder, from the working directory or else from the recipe's folder."""
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
    return (JsonlFile if suffix == ".json" and _is_lines(place) else READERS[suffix])(path, place)


def _is_lines(path: Path) -> bool:
    """Whether the first line is an object by itself, and not the whole file."""
    with path.open("rb") as file:
        first, more = file.readline().removeprefix(BYTE_ORDER_MARK).strip(), file.readline()
    return bool(more.strip()) and first.startswith(b"{") and first.endswith(b"}")


def load_rows(reader: Reader, name: str, source: str, selection: Selection) -> ProblemSet:
    """Load the usable rows of a reader; only their numbers and question keys stay in memory."""
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


PLACE = "data.source: "
ADVICE = "; to use a local file: --set data.source=FILE.jsonl"
"""Of a recipe's training set; a benchmark has its own."""


class Unreachable(BadInput):
    """The hub cannot be reached, and what was wanted is not in its cache."""


def load_hub(selection: Selection) -> ProblemSet:
    """`streaming` fetches only as many rows as `limit` needs, and keeps them in memory instead of in the cache."""
    data = selection.data
    dataset = download(data.source, data.config, selection.splits, data.streaming)
    reader = Stream(dataset) if data.streaming else DatasetRows(dataset)
    repo, _ = repo_and_revision(data.source)
    return load_rows(reader, repo.rpartition("/")[2], data.source, selection)


class Stream:
    """Rows as they come from the hub; those that have passed are kept."""

    def __init__(self, dataset: Iterable[Row]) -> None:
        self._coming = map(as_said(getattr(dataset, "features", None)), dataset)
        self._passed: list[Row] = []

    def rows(self, columns: Iterable[str] = ()) -> Iterator[Row]:
        yield from list(self._passed)
        for row in self._coming:
            self._passed.append(row)
            yield row

    def row(self, index: int) -> Row:
        return self._passed[index]

    def share(self, index: int) -> float:
        return 0.0

    def digest(self) -> str:
        return digest_of_rows(self._passed)


def download(source: str, config: str | None, splits: Sequence[str], streaming: bool) -> Any:
    """The first of these splits that the data set has, from the cache or the hub.

    A failure becomes one line that says what to do without a network.
    """
    import datasets

    repo, revision = repo_and_revision(source)
    split = splits[0] if len(splits) == 1 else None
    cut_off = False
    try:
        with _offline_unless_reachable(repo) as cut_off:
            found = datasets.load_dataset(repo, name=config, split=split, streaming=streaming, revision=revision)
    except Exception as error:  # the hub's client has a dozen kinds, and none in common
        wanted = f"the data set {repo!r}" + (f", config {config!r}" if config else "")
        wanted += f", split {split!r}" if split else ""
        missing = cut_off and isinstance(error, OSError)
        reason = "no network" if missing else what_mends(error, repo) or f"{' '.join(str(error).split()):.300}"
        raise (Unreachable if missing else BadInput)(
            f"{PLACE}could not load {wanted}, from the hub or its cache: {reason}"
            f"{ADVICE}{' --set data.split=null' * (split not in (None, 'train'))}"
        ) from error
    return found if split else found[_chosen(source, splits, found)]


@contextmanager
def _offline_unless_reachable(source: str) -> Iterator[bool]:
    """Go to the cache at once where there is no network, and say so; `datasets` alone would try for half a minute."""
    import datasets
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE
    cut_off = bool(constants.HF_HUB_OFFLINE) or unreachable(lambda api: api.dataset_info(source, timeout=REACH_LIMIT_S))
    if cut_off:
        constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True
    try:
        yield cut_off
    finally:
        constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE = before
