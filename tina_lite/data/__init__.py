"""Where problems come from: the built-in arithmetic, local files, reasoning-gym tasks, hub data sets, functions.

>>> load_problems(DataSection(source="arithmetic"), seed=1)[0].question
'What is 17+28+43?'
"""

import re
from pathlib import Path
from typing import Any

from tina_lite.data.chat_template import Tokenizer, render
from tina_lite.data.examples import Selection
from tina_lite.data.files import READERS, Unreachable, find_file, is_local, load_file, load_hub
from tina_lite.data.problem_set import ProblemSet, hold_out
from tina_lite.data.prompts import PromptSource, first_prompts, make_prompt
from tina_lite.data.tasks import GYM_PREFIX, load_arithmetic, load_function_rows, load_gym, refuse_unknown
from tina_lite.recipe.schema import DataSection
from tina_lite.util.errors import BadInput, nearest
from tina_lite.util.hub import HUB_ID

__all__ = [
    "DataSection",
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

FUNCTION = re.compile(r".+\.py:\w+|[A-Za-z_][\w.]*:\w+")


def load_problems(data: DataSection, *, seed: int = 42, base_folder: Path | None = None, **selected: Any) -> ProblemSet:
    """The problems of a source; `base_folder` is where it is looked for beside the working directory.

    `selected` says more of rows that are read, as `Selection` has it.
    """
    source, limit = data.source, data.limit
    if limit is not None and limit < 1:
        raise BadInput(f"data.limit: {limit} problems are none; give 1 or more")
    if data.streaming and limit is None:
        raise BadInput("data.streaming: keeps the rows in memory; say how many with data.limit")
    if source == "arithmetic" or source.startswith(GYM_PREFIX):
        _refuse_columns(data)
        if source == "arithmetic":
            return load_arithmetic(data, seed)
        _refuse_split(data)
        return load_gym(data, seed)
    selection = Selection(data, **selected)
    if is_local(source, base_folder):
        refuse_unknown(data.params, [], source)
        path = find_file(source, base_folder)
        if not path.is_dir():
            _refuse_split(data)
        return load_file(path, selection)
    if FUNCTION.fullmatch(source) and not _misspelt(source):
        _refuse_split(data)
        return load_function_rows(selection, base_folder)
    refuse_unknown(data.params, [], source)
    _refuse_unless_hub_id(source)
    return load_hub(selection)


def _refuse_columns(data: DataSection) -> None:
    for field in ("prompt", "answer", "config", "where"):
        value = getattr(data, field)
        if value is not None:
            raise BadInput(
                f"data.{field}: {data.source} makes its own problems, it has no {field} {value!r}; leave it out"
            )


def _refuse_split(data: DataSection) -> None:
    if data.split not in (None, "train"):
        raise BadInput(
            f"data.split: {data.source} has no split {data.split!r}, it is one set; leave it out or say train"
        )


def _misspelt(source: str) -> str:
    """A hint where a source looks like a built-in one."""
    return "" if "/" in source else nearest(source.partition(":")[0], ["arithmetic", "reasoning_gym"])


def _refuse_unless_hub_id(source: str) -> None:
    """A misspelt built-in or a path should not be looked for on the hub."""
    if _misspelt(source) or not HUB_ID.fullmatch(source):
        files = ", ".join(f"FILE{suffix}" for suffix in READERS)
        kinds = f"arithmetic, {files}, a folder, {GYM_PREFIX}TASK, MODULE:FUNCTION, or a hub id such as openai/gsm8k"
        raise BadInput(
            f"data.source: unknown source {source!r}{_misspelt(source)} (known: {kinds}); more: tina-lite docs data"
        )
