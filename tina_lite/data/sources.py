"""A recipe's data, from one source or several: each with its share of the prompts, no question twice."""

import random
from array import array
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from tina_lite.data import ProblemSet, PromptSource, Tokenizer, Unreachable, hold_out, load_problems
from tina_lite.data.benchmarks import Benchmark, load_benchmark
from tina_lite.data.contamination import Overlap
from tina_lite.data.examples import Progress
from tina_lite.data.problem_set import no_problems
from tina_lite.recipe import Recipe
from tina_lite.recipe.schema import DataSection, SourceSection
from tina_lite.util.errors import BadInput
from tina_lite.util.records import Problem

ELSEWHERE = "the same question as in another source"


class Mixture:
    """The parts of `data.mixture`, read in order."""

    def __init__(
        self,
        data: DataSection,
        *,
        seed: int,
        base_folder: Path | None,
        watch: Callable[[int, str], None],
        progress: Progress | None = None,
        golds_wanted: bool = True,
    ) -> None:
        """As a Selection has them; `watch` is told rows of the whole, `progress` shares of part after part."""
        self._weights = [part.weight for part in data.mixture]
        self._starts = [0]
        """The first row of each part, and the number of all rows."""
        parts = []
        for part in data.mixture:
            fields = {name: getattr(part, name) for name in SourceSection.model_fields}
            start = self._starts[-1]
            found = load_problems(
                data.model_copy(update={**fields, "mixture": ()}),
                seed=seed,
                base_folder=base_folder,
                watch=lambda row, question, start=start: watch(start + row, question),
                once=True,
                progress=progress,
                golds_wanted=golds_wanted,
            )
            parts.append(found)
            last = max(chain(found.rows, *found.skipped_rows.values()), default=-1)
            self._starts.append(start + last + 1)
        self.problems = self._joined(parts)

    def _joined(self, parts: list[ProblemSet]) -> ProblemSet:
        rows, keys, other_source = array("Q"), array("Q"), array("Q")
        seen: set[int] = set()
        for start, part in zip(self._starts, parts):
            own = part.keys()
            for row, key in zip(part.rows, own, strict=True):
                if key in seen:
                    other_source.append(start + row)
                else:
                    rows.append(start + row)
                    keys.append(key)
            seen.update(own)
        skipped = {} if not other_source else {ELSEWHERE: other_source}
        for start, part in zip(self._starts, parts):
            for reason, ones in part.skipped_rows.items():
                skipped.setdefault(reason, array("Q")).extend(start + row for row in ones)

        def fetch(row: int) -> Problem:
            part = self._part_of(row)
            return replace(parts[part].in_row(row - self._starts[part]), index=row)

        notes = [f"{part.name}: {note}" for part in parts for note in part.notes]
        name = "+".join(part.name for part in parts)
        digest = cache(lambda: " ".join(part.digest() for part in parts))
        return ProblemSet(name, fetch, rows, skipped, keys, notes, digest)

    def _part_of(self, row: int) -> int:
        return bisect_right(self._starts, row) - 1

    def weighted(self, train: ProblemSet) -> ProblemSet:
        """Some problems more than once: each part has its share of an epoch, and no problem is left out."""
        of_parts: list[list[int]] = [[] for _ in self._weights]
        for row in train.rows:
            of_parts[self._part_of(row)].append(row)
        whole = max(len(rows) / weight for rows, weight in zip(of_parts, self._weights, strict=True))
        distinct = self._starts[-1]
        repeated = array("Q")
        for rows, weight in zip(of_parts, self._weights, strict=True):
            wanted = round(whole * weight) if rows else 0
            for time in range(-(-wanted // max(1, len(rows)))):
                repeated.extend(row + time * distinct for row in rows[: wanted - time * len(rows)])
        return train.repeated(repeated, distinct)


REQUEST = "\n\nThink for {} tokens."
"""L1's own words."""


def ask_for_length(problems: ProblemSet, shortest: int, longest: int, seed: int) -> ProblemSet:
    """Draws a length in tokens for each problem; the rewards length_l1_* find it in the column target_length.

    The draw depends on the seed and the problem's row alone.
    """

    def with_length(problem: Problem) -> Problem:
        tokens = random.Random(f"{seed}/target_length/{problem.index}").randint(shortest, longest)
        columns = {**problem.columns, "target_length": tokens}
        return replace(problem, question=problem.question + REQUEST.format(tokens), columns=columns)

    return problems.map(with_length)


HELD_OUT = "held_out"
EVAL_SEED = 0
"""Evaluation asks the same problems with the same random numbers whatever the run's seed."""


class RecipeProblems(NamedTuple):
    """Holds training set and benchmarks. They share no problem, or `warnings` says which."""

    train: ProblemSet
    benchmarks: dict[str, ProblemSet]
    warnings: tuple[str, ...]
    repeats: int = 0
    """Of the training set, those that are there again for the weight of their part of a mixture."""


def problems_of(
    recipe: Recipe, *, without_data: bool = False, golds_wanted: bool = True, progress: Progress | None = None
) -> RecipeProblems:
    """All problems of a recipe; with `without_data`, none at all and a warning where the hub is out of reach.

    `golds_wanted`: whether a reward compares with an answer; problems without one are trained on where none does.
    `progress` is told now and then how much of a source of the training set was read.
    """
    try:
        return _read(recipe, golds_wanted, progress)
    except Unreachable as error:
        if not without_data:
            raise
        return RecipeProblems(no_problems(recipe.data.named), {}, (str(error),))


def _read(recipe: Recipe, golds_wanted: bool, progress: Progress | None) -> RecipeProblems:
    """Benchmarks first: while the training set is read, each question is compared with theirs."""
    benchmarks: dict[str, ProblemSet] = {}
    for word in recipe.eval.benchmarks:
        benchmark = _benchmark(word, recipe)
        if benchmark.name in benchmarks:
            raise BadInput(f"eval.benchmarks: two are called {benchmark.name}, as a file is by its name; rename one")
        benchmarks[benchmark.name] = benchmark.problems
    overlap = Overlap({name: [problem.question for problem in one] for name, one in benchmarks.items()})
    train, mixture = _training_set(recipe, overlap, golds_wanted, progress)
    train, left_out = _without_benchmarks(train, overlap, [name for name, one in benchmarks.items() if len(one)])
    if HELD_OUT in benchmarks:
        train, held = _held_out(recipe, train)
        benchmarks[HELD_OUT] = held if golds_wanted else _with_answers(held)
    distinct = len(train)
    if mixture is not None:
        train = mixture.weighted(train)
    repeats = len(train) - distinct
    if recipe.data.target_length is not None:
        shortest, longest = recipe.data.target_length
        train = ask_for_length(train, shortest, longest, recipe.seed)
    notes = [f"{one.name}: {note}" for one in (train, *benchmarks.values()) for note in one.notes]
    return RecipeProblems(train, benchmarks, (*dict.fromkeys(notes), *left_out, *overlap.warnings()), repeats)


def _benchmark(word: str, recipe: Recipe) -> Benchmark:
    """Of held_out the name alone: its problems are known once the training set is."""
    if word == HELD_OUT:
        return Benchmark(HELD_OUT, no_problems(HELD_OUT))
    return load_benchmark(word, base_folder=recipe.folder, limit=recipe.eval.problems, like=recipe.data)


def _without_benchmarks(train: ProblemSet, overlap: Overlap, names: Sequence[str]) -> tuple[ProblemSet, list[str]]:
    """The problems that are none of a benchmark's, or the benchmark would measure memory; and what there is to say."""
    if not overlap.same_rows:
        return train, []
    rest = train.without(overlap.same_rows)
    gone = len(train) - len(rest)
    if not len(rest):
        raise BadInput(
            f"data.source: all {gone} problems of {train.name} are problems of {', '.join(names)} too, which would "
            "measure what was trained on; give another benchmark, or held_out"
        )
    return rest, [f"{gone} of {len(train)} problems of {train.name} are a benchmark's too, and are not trained on"]


def _with_answers(held: ProblemSet) -> ProblemSet:
    answered = held.where([bool(problem.answer) for problem in held])
    if not len(answered):
        raise BadInput(f"eval.benchmarks: {HELD_OUT}: the data has no answers to compare with; leave it out")
    return answered


def held_out_of(recipe: Recipe) -> ProblemSet:
    """The problems that a run keeps from training."""
    return _held_out(recipe, _training_set(recipe, Overlap({}))[0])[1]


def _held_out(recipe: Recipe, train: ProblemSet) -> tuple[ProblemSet, ProblemSet]:
    if recipe.data.source == "arithmetic":
        held = load_problems(recipe.data.model_copy(update={"split": "test", "limit": None}), seed=EVAL_SEED)
        if recipe.data.split == "test":  # the training split has none of them
            asked = set(held.keys())
            train = train.where([key not in asked for key in train.keys()])  # noqa: SIM118 (no dictionary)
        return train, held
    share = recipe.data.held_out
    rest, held = hold_out(train, share)
    if not len(held) or not len(rest):
        raise BadInput(
            f"data.held_out: a share of {share} leaves {len(rest)} problems to train on and {len(held)} to test on; "
            "give more data or another share"
        )
    return rest, held


def _training_set(
    recipe: Recipe, overlap: Overlap, golds_wanted: bool = True, progress: Progress | None = None
) -> tuple[ProblemSet, Mixture | None]:
    data, seed, folder = recipe.data, recipe.seed, recipe.folder
    selected: dict[str, Any] = {"golds_wanted": golds_wanted, "progress": progress}
    if data.mixture:
        mixture = Mixture(data, seed=seed, base_folder=folder, watch=overlap.see, **selected)
        return mixture.problems, mixture
    return load_problems(data, seed=seed, base_folder=folder, watch=overlap.see, once=True, **selected), None


def prompts_of(recipe: Recipe, train: ProblemSet, tokenizer: Tokenizer) -> PromptSource:
    """The prompts of a run in the order of training."""
    return PromptSource(
        train,
        tokenizer,
        max_prompt_length=recipe.rollout.max_prompt_length,
        system_prompt=recipe.data.system_prompt,
        seed=recipe.seed,
        shuffle=recipe.data.shuffle,
    )
