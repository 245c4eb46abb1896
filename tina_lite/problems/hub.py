"""Problems from a data set on the Hugging Face hub, through `datasets`."""

import re
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING

from tina_lite.errors import BadInput
from tina_lite.hub import REACH_LIMIT_S, unreachable
from tina_lite.problems.files import ROWS_TO_FIND_COLUMNS
from tina_lite.problems.problem_set import ProblemSet, question_key
from tina_lite.problems.rows import Sieve, find_columns, problem_of, refuse_if_empty

if TYPE_CHECKING:
    from datasets import Dataset

HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")


def load_hub(
    source: str,
    split: str,
    config: str | None,
    prompt: str | None,
    answer: str | None,
    limit: int | None,
    gold_parses: Callable[[str], bool],
) -> ProblemSet:
    return from_dataset(download(source, config, split), source, prompt, answer, limit, gold_parses)


def download(source: str, config: str | None, split: str) -> "Dataset":
    """The data set from the cache or the hub; a failure becomes one line that says what to do without a network."""
    import datasets

    try:
        with _offline_unless_reachable(source):
            return datasets.load_dataset(source, name=config, split=split)
    except Exception as error:  # the hub's client has a dozen kinds, and none in common
        wanted = f"the data set {source!r}" + (f", config {config!r}" if config else "") + f", split {split!r}"
        reason = " ".join(str(error).split())
        raise BadInput(
            f"data.source: could not load {wanted}, from the hub or its cache: {reason:.300}; "
            "to use a local file: --set data.source=FILE.jsonl"
        ) from error


@contextmanager
def _offline_unless_reachable(source: str) -> Iterator[None]:
    """Go to the cache at once where there is no network; `datasets` alone would try for half a minute."""
    import datasets
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE
    if unreachable(lambda api: api.dataset_info(source, timeout=REACH_LIMIT_S)):
        constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE = before


def from_dataset(
    dataset: "Dataset",
    source: str,
    prompt: str | None,
    answer: str | None,
    limit: int | None,
    gold_parses: Callable[[str], bool],
) -> ProblemSet:
    """Rows stay where `datasets` keeps them, on disk; each is read once to see whether it can be used."""
    columns = find_columns(islice(dataset, ROWS_TO_FIND_COLUMNS), source, prompt, answer)
    needed = dict.fromkeys(name.partition(".")[0] for name in (columns.question, columns.answer))
    sieve = Sieve(columns, gold_parses)
    usable, keys = array("Q"), array("Q")
    for index, row in enumerate(dataset.select_columns(list(needed))):
        question = sieve.question(row)
        if question is not None:
            usable.append(index)
            keys.append(question_key(question))
        if len(usable) == limit:
            break
    refuse_if_empty(len(usable), sieve.skipped, source)
    return ProblemSet(
        source.rpartition("/")[2], lambda index: problem_of(dataset[index], index, columns), usable, sieve.skipped, keys
    )
