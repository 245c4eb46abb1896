"""A folder of data: files of a split by their names, as `datasets` tells them, or a data set that it has saved."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from tina_lite.errors import BadInput
from tina_lite.problems.readers import Joined, Reader, Table

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


def _saved(path: Path, splits: Sequence[str]) -> Table:
    import datasets

    try:
        found = datasets.load_from_disk(str(path))
    except Exception as error:  # of pyarrow and datasets, which have none in common
        reason = f"{' '.join(str(error).split()):.200}"
        raise BadInput(f"{path}: a data set that cannot be read ({reason}); copy the whole folder again") from error
    by_split = found if isinstance(found, dict) else {"train": found}
    return Table(by_split[_chosen(path, splits, by_split)])


def _chosen(path: Path, splits: Sequence[str], by_split: Collection[str]) -> str:
    for split in splits:
        if split in by_split:
            return split
    raise BadInput(f"data.split: {path} has no split {splits[0]!r}; it has: {', '.join(by_split)}")
