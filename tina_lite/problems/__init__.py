"""Where problems come from: the built-in arithmetic, local files, reasoning-gym tasks, hub data sets, functions.

>>> load_problems("arithmetic", seed=1)[0].question
'What is 17+28+43?'
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from tina_lite.answers import comparable
from tina_lite.errors import BadInput, nearest
from tina_lite.problems.files import READERS, find_file, is_local, load_file
from tina_lite.problems.hub import HUB_ID, Unreachable, load_hub
from tina_lite.problems.problem_set import ProblemSet, hold_out
from tina_lite.problems.prompts import PromptSource, Tokenizer, first_prompts, make_prompt, render
from tina_lite.problems.rows import Selection
from tina_lite.problems.tasks import GYM_PREFIX, load_arithmetic, load_function_rows, load_gym, refuse_unknown
from tina_lite.where import Where

__all__ = [
    "ProblemSet",
    "PromptSource",
    "Tokenizer",
    "Unreachable",
    "first_prompts",
    "hold_out",
    "load_problems",
    "make_prompt",
    "render",
]

NOTHING: Mapping[str, object] = MappingProxyType({})
FUNCTION = re.compile(r".+\.py:\w+|[A-Za-z_][\w.]*:\w+")


def load_problems(
    source: str,
    *,
    split: str | None = None,
    config: str | None = None,
    prompt: str | None = None,
    answer: str | None = None,
    or_usual: bool = False,
    where: str | None = None,
    params: Mapping[str, object] = NOTHING,
    seed: int = 42,
    limit: int | None = None,
    streaming: bool = False,
    base_folder: Path | None = None,
    gold_parses: Callable[[str], bool] = comparable,
    watch: Callable[[int, str], None] | None = None,
) -> ProblemSet:
    """The problems of a source.

    Args:
        source: `arithmetic`, a .jsonl, .json, .csv or .parquet file, a folder of them, `reasoning_gym:TASK`,
            `module:function` or `file.py:function` that gives rows, or a hub data set's id.
        split: of a hub data set or of arithmetic; default train.
        config: of a hub data set.
        prompt: column of the question, else found by its usual names; `answer` likewise.
        or_usual: these were named for another source: where they are not there, the usual names will do.
        where: which rows are taken, such as `level >= 3`.
        params: of a generated task, or the arguments of a function.
        limit: keeps the first usable problems.
        streaming: fetch no more of a hub data set than `limit` needs.
        gold_parses: rows without question or answer, or whose answer it refuses, are skipped and counted.
        watch: told the row and the question of each problem of a file, function or hub data set.
    """
    if limit is not None and limit < 1:
        raise BadInput(f"data.limit: {limit} problems are none; give 1 or more")
    if streaming and limit is None:
        raise BadInput("data.streaming: keeps the rows in memory; say how many with data.limit")
    if source == "arithmetic" or source.startswith(GYM_PREFIX):
        _refuse_columns(source, prompt=prompt, answer=answer, config=config, where=where)
        if source == "arithmetic":
            return load_arithmetic(split, params, seed, limit)
        _refuse_split(source, split)
        return load_gym(source, params, seed, limit)
    selection = Selection(prompt, answer, or_usual, Where(where) if where else None, limit, gold_parses, watch)
    if is_local(source, base_folder):
        refuse_unknown(params, [], source)
        _refuse_split(source, split)
        return load_file(find_file(source, base_folder), selection)
    if FUNCTION.fullmatch(source) and not _misspelt(source):
        _refuse_split(source, split)
        return load_function_rows(source, params, base_folder, selection)
    refuse_unknown(params, [], source)
    _refuse_unless_hub_id(source)
    return load_hub(source, split or "train", config, selection, streaming=streaming)


def _refuse_columns(source: str, **given: str | None) -> None:
    for field, value in given.items():
        if value is not None:
            raise BadInput(f"data.{field}: {source} makes its own problems, it has no {field} {value!r}; leave it out")


def _refuse_split(source: str, split: str | None) -> None:
    if split not in (None, "train"):
        raise BadInput(f"data.split: {source} has no split {split!r}, it is one set; leave it out or say train")


def _misspelt(source: str) -> str:
    """A hint where a source looks like a built-in one."""
    return "" if "/" in source else nearest(source.partition(":")[0], ["arithmetic", "reasoning_gym"])


def _refuse_unless_hub_id(source: str) -> None:
    """A misspelt built-in or a path should not be looked for on the hub."""
    if _misspelt(source) or not HUB_ID.fullmatch(source):
        files = ", ".join(f"FILE{suffix}" for suffix in READERS)
        kinds = f"arithmetic, {files}, a folder, {GYM_PREFIX}TASK, MODULE:FUNCTION, or a hub id such as openai/gsm8k"
        raise BadInput(f"data.source: unknown source {source!r}{_misspelt(source)} (known: {kinds})")
