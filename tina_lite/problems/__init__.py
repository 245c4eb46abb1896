"""Where problems come from: the built-in arithmetic, local files, reasoning-gym tasks, hub data sets.

>>> load_problems("arithmetic", seed=1)[0].question
'What is 17+28+43?'
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from tina_lite.answers import gold_parses
from tina_lite.errors import BadInput, nearest
from tina_lite.problems.files import SUFFIXES, find_file, load_file
from tina_lite.problems.hub import HUB_ID, load_hub
from tina_lite.problems.problem_set import ProblemSet, hold_out
from tina_lite.problems.prompts import PromptSource, Tokenizer, first_prompts, make_prompt, render
from tina_lite.problems.tasks import GYM_PREFIX, load_arithmetic, load_gym, refuse_unknown

__all__ = [
    "ProblemSet",
    "PromptSource",
    "Tokenizer",
    "first_prompts",
    "hold_out",
    "load_problems",
    "make_prompt",
    "render",
]

NOTHING: Mapping[str, object] = MappingProxyType({})


def load_problems(
    source: str,
    *,
    split: str | None = None,
    config: str | None = None,
    prompt: str | None = None,
    answer: str | None = None,
    params: Mapping[str, object] = NOTHING,
    seed: int = 42,
    limit: int | None = None,
    base_folder: Path | None = None,
    gold_parses: Callable[[str], bool] = gold_parses,
) -> ProblemSet:
    """The problems of a source: `arithmetic`, FILE.jsonl, FILE.json, `reasoning_gym:TASK`, or a hub data set's id.

    `prompt` and `answer` name columns, which else are found by their usual names. `params` are for generated tasks.
    `limit` keeps the first usable ones. Rows without a question or an answer, or whose answer
    `gold_parses` refuses, are skipped and counted.
    """
    if limit is not None and limit < 1:
        raise BadInput(f"data.limit: {limit} problems are none; give 1 or more")
    if source == "arithmetic" or source.startswith(GYM_PREFIX):
        _refuse_columns(source, prompt=prompt, answer=answer, config=config)
        if source == "arithmetic":
            return load_arithmetic(split, params, seed, limit)
        _refuse_split(source, split)
        return load_gym(source, params, seed, limit)
    refuse_unknown(params, [], source)
    if source.endswith(SUFFIXES):
        _refuse_split(source, split)
        return load_file(find_file(source, base_folder), prompt, answer, limit, gold_parses)
    _refuse_unless_hub_id(source)
    return load_hub(source, split or "train", config, prompt, answer, limit, gold_parses)


def _refuse_columns(source: str, **given: str | None) -> None:
    for field, value in given.items():
        if value is not None:
            raise BadInput(f"data.{field}: {source} makes its own problems, it has no {field} {value!r}; leave it out")


def _refuse_split(source: str, split: str | None) -> None:
    if split not in (None, "train"):
        raise BadInput(f"data.split: {source} has no split {split!r}, it is one set; leave it out or say train")


def _refuse_unless_hub_id(source: str) -> None:
    """A misspelt built-in or a path should not be looked for on the hub."""
    hint = "" if "/" in source else nearest(source.partition(":")[0], ["arithmetic", "reasoning_gym"])
    if hint or not HUB_ID.fullmatch(source):
        kinds = f"arithmetic, {GYM_PREFIX}TASK, FILE.jsonl, FILE.json, or a hub id such as openai/gsm8k"
        raise BadInput(f"data.source: unknown source {source!r}{hint} (known: {kinds})")
