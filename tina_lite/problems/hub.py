"""Problems from a data set on the Hugging Face hub, through `datasets`."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from tina_lite.errors import BadInput
from tina_lite.hub import REACH_LIMIT_S, repo_and_revision, unreachable, what_mends
from tina_lite.problems import contents
from tina_lite.problems.files import load_rows
from tina_lite.problems.problem_set import ProblemSet
from tina_lite.problems.readers import Table, as_said
from tina_lite.problems.rows import Row, Selection

PLACE = "data.source: "
ADVICE = "; to use a local file: --set data.source=FILE.jsonl"
"""Of a recipe's training set; a benchmark has its own."""


class Unreachable(BadInput):
    """The hub cannot be reached, and what was wanted is not in its cache."""


def load_hub(selection: Selection) -> ProblemSet:
    """`streaming` fetches only as many rows as `limit` needs, and keeps them in memory instead of in the cache."""
    data = selection.data
    dataset = download(data.source, data.config, data.split or "train", data.streaming)
    reader = Stream(dataset) if data.streaming else Table(dataset)
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
        return contents.of_rows(self._passed)


def download(source: str, config: str | None, split: str, streaming: bool) -> Any:
    """The data set from the cache or the hub; a failure becomes one line that says what to do without a network."""
    import datasets

    repo, revision = repo_and_revision(source)
    cut_off = False
    try:
        with _offline_unless_reachable(repo) as cut_off:
            return datasets.load_dataset(repo, name=config, split=split, streaming=streaming, revision=revision)
    except Exception as error:  # the hub's client has a dozen kinds, and none in common
        wanted = f"the data set {repo!r}" + (f", config {config!r}" if config else "") + f", split {split!r}"
        missing = cut_off and isinstance(error, OSError)
        reason = "no network" if missing else what_mends(error, repo) or f"{' '.join(str(error).split()):.300}"
        raise (Unreachable if missing else BadInput)(
            f"{PLACE}could not load {wanted}, from the hub or its cache: {reason}"
            f"{ADVICE}{' --set data.split=null' * (split != 'train')}"
        ) from error


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
