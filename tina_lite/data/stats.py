"""What a data set holds, for people: lengths, answers, duplicates; and problems that ask for a length.

The last are those of L1 (arXiv 2503.04697).
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tina_lite.data.chat_template import Refused, Tokenizer, template_notes
from tina_lite.data.problem_set import ProblemSet
from tina_lite.data.prompts import even_sample, make_prompt
from tina_lite.data.sources import HELD_OUT, RecipeProblems, prompts_of
from tina_lite.recipe import Recipe
from tina_lite.util.errors import BadInput
from tina_lite.util.records import Problem, Prompt

MOST_MEASURED = 10_000
"""Prompts that are tokenised; of more problems an even sample."""
MOST_SOLUTIONS = 2_000
"""The same of solutions, which are longer."""
SOLUTION_NAMES = ("solution", "generations", "generation", "deepseek_reasoning", "rationale", "reasoning")
"""Columns that hold worked solutions, the first of which is measured; of several in a row its first."""
SHORTEST_SOLUTION = 5
"""Words; fewer are an answer."""
PERCENTILES = (5, 50, 95, 99, 100)
ANSWER_KINDS = {
    "integer": re.compile(r"[-+]?\d+"),
    "decimal": re.compile(r"[-+]?\d*\.\d+%?|[-+]?\d+\\?%"),
    "fraction": re.compile(r"[-+]?(\\[dt]?frac\{?[-+]?\d+\}?\{?[-+]?\d+\}?|\d+/\d+)"),
    "choice": re.compile(r"\(?[A-J]\)?"),
    "expression": re.compile(r".*([\\^=+*/_<>]|\d[a-z(]).*|[\d.:;()\[\]{}+-]+"),
}
"""For people to see what they have; what a reward understands is not decided by it."""


@dataclass(frozen=True, slots=True)
class Lengths:
    """Counts tokens in the prompts of the training set, or in its worked solutions."""

    measured: int
    percentiles: Mapping[int, int]
    """Percent -> tokens; 100 is the longest."""

    def as_dict(self) -> dict[str, int]:
        names = {percent: f"p{percent}" if percent < 100 else "max" for percent in self.percentiles}
        return {"measured": self.measured, **{names[percent]: n for percent, n in self.percentiles.items()}}


@dataclass(frozen=True, slots=True)
class Survey:
    """Rows are numbered from 0, as in the samples of a run."""

    name: str
    rows: int
    skipped: Mapping[str, Sequence[int]]
    """Reason -> rows; too long prompts are among those that were measured."""
    train: int
    epoch: int
    """Prompts of one pass: more than `train` where parts of a mixture are asked again for their weight."""
    held_out: int
    warnings: tuple[str, ...]
    answers: Mapping[str, int]
    """Kind -> problems of those that were looked at: integer, decimal, fraction, choice, expression, text."""
    lengths: Lengths | None
    """None without a tokenizer."""
    solutions: Lengths | None
    """None without a tokenizer, or where the data holds no worked solutions."""
    prompts: tuple[Prompt, ...]
    """The first of training, in its order; without a tokenizer there are `problems` instead."""
    problems: tuple[Problem, ...]

    def as_dict(self) -> dict[str, Any]:
        """Give the record that --json prints."""
        return {
            "name": self.name,
            "rows": self.rows,
            "train": self.train,
            "epoch": self.epoch,
            "held_out": self.held_out,
            "skipped": {reason: {"count": len(rows), "rows": list(rows)} for reason, rows in self.skipped.items()},
            "answers": dict(self.answers),
            "prompt_tokens": None if self.lengths is None else self.lengths.as_dict(),
            "solution_tokens": None if self.solutions is None else self.solutions.as_dict(),
            "warnings": list(self.warnings),
            "head": [
                {"row": one.problem.index, "prompt": one.text, "tokens": len(one.ids), "answer": one.problem.answer}
                for one in self.prompts
            ],
        }


def survey(recipe: Recipe, problems: RecipeProblems, tokenizer: Tokenizer | None, head: int) -> Survey:
    """Counts and measures the recipe's problems; `head` prompts are shown."""
    train, benchmarks, warnings, repeats = problems
    held_out = len(benchmarks.get(HELD_OUT, ()))
    held_apart = 0 if recipe.data.source == "arithmetic" else held_out  # whose test problems are no rows of training
    skipped = dict(train.skipped_rows)
    rows = len(train) - repeats + held_apart + sum(map(len, skipped.values()))
    looked_at = even_sample(train, MOST_MEASURED)
    tokens, refused = ({}, {}) if tokenizer is None else _tokens_by_row(recipe, looked_at, tokenizer)
    notes = [] if tokenizer is None else template_notes(train, tokenizer, recipe.data.system_prompt)
    prompts: tuple[Prompt, ...] = ()
    try:
        prompts = () if tokenizer is None else tuple(prompts_of(recipe, train, tokenizer).next(head))
    except BadInput as error:  # none is short enough: what is known of them is shown all the same
        notes.append(str(error))
    too_long = [row for row, count in tokens.items() if count > recipe.rollout.max_prompt_length]
    of = "" if len(looked_at) == len(train) else f", of the {len(looked_at):,} that were measured"
    not_asked = {"prompt too long": too_long, **refused}
    skipped |= {reason + of: rows for reason, rows in not_asked.items() if rows}
    usable = len(train) - sum(map(len, not_asked.values()))
    return Survey(
        name=train.name,
        rows=rows,
        skipped=skipped,
        train=usable - repeats,
        epoch=usable,
        held_out=held_out,
        warnings=(*warnings, *notes),
        answers=dict(Counter(answer_kind(problem.answer) for problem in looked_at).most_common()),
        lengths=_lengths(tokens.values()),
        solutions=None if tokenizer is None else _lengths(_solution_tokens(train, tokenizer)),
        prompts=prompts,
        problems=tuple(train[:head]) if tokenizer is None else (),
    )


def _tokens_by_row(
    recipe: Recipe, problems: Iterable[Problem], tokenizer: Tokenizer
) -> tuple[dict[int, int], dict[str, list[int]]]:
    """And the rows that the chat template refuses, by what it says."""
    tokens: dict[int, int] = {}
    refused: dict[str, list[int]] = {}
    for problem in problems:
        try:
            tokens[problem.index] = len(make_prompt(problem, tokenizer, recipe.data.system_prompt).ids)
        except Refused as error:
            refused.setdefault(str(error), []).append(problem.index)
    return tokens, refused


def _solution_tokens(train: ProblemSet, tokenizer: Tokenizer) -> list[int]:
    texts = [text for problem in even_sample(train, MOST_SOLUTIONS) if (text := solution_of(problem))]
    return [len(tokenizer.encode(text, add_special_tokens=False)) for text in texts]


def solution_of(problem: Problem) -> str:
    """The worked solution that the data has of a problem; empty where it has none."""
    for name in SOLUTION_NAMES:
        value = problem.columns.get(name)
        text = next(iter(value), "") if isinstance(value, list) else value
        if isinstance(text, str) and len(text.split()) >= SHORTEST_SOLUTION:
            return text
    return ""


def answer_kind(answer: str) -> str:
    r"""Say in a word what kind of answer a gold is.

    >>> [answer_kind(a) for a in ("42", "$-1{,}000$", "2.5", r"\frac{1}{2}", "3/4", "B", "(-2, 0)", "x^2", "Paris")]
    ['integer', 'integer', 'decimal', 'fraction', 'fraction', 'choice', 'expression', 'expression', 'text']
    """
    text = "".join(answer.split()).strip("$").replace("{,}", "").replace(",", "")
    return next((kind for kind, form in ANSWER_KINDS.items() if form.fullmatch(text)), "text")


def _lengths(tokens: Iterable[int]) -> Lengths | None:
    ordered = sorted(tokens)
    if not ordered:
        return None
    return Lengths(len(ordered), {percent: nearest_rank(ordered, percent) for percent in PERCENTILES})


def nearest_rank(ordered: Sequence[int], percent: int) -> int:
    """The smallest value that `percent` of the values do not exceed.

    >>> [nearest_rank([1, 2, 3, 4], percent) for percent in (5, 50, 51, 100)]
    [1, 2, 3, 4]
    """
    return ordered[max(0, -(-percent * len(ordered) // 100) - 1)]
