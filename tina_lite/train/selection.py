"""Which problems are asked: those that the policy solves about half of the time teach the most.

With a solve rate p, a group's signal goes by p (1 - p). A rate is not known before it is tried: it is drawn from a Beta
distribution of what was seen, so that problems of which little is known are tried too (MoPPS, arXiv 2507.04632).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from statistics import fmean

from tina_lite.data import PromptSource
from tina_lite.data.problem_set import ProblemSet, question_key
from tina_lite.data.prompts import even_sample
from tina_lite.recipe.schema import DataSection
from tina_lite.util.errors import BadInput, nearest
from tina_lite.util.records import Problem, Prompt, ScoredGroup
from tina_lite.util.stateful import Fields
from tina_lite.util.where import look_up

POOL = 4
"""Candidates for each prompt."""
UNIFORM = 0.1
"""Share of the prompts that is chosen blindly, so that no kind of problem is lost."""
DECAY = 0.8
"""What evidence is still worth after the next visit, as the policy learns."""
PRIOR = 3.0
"""Completions that a solve rate in the data is worth."""
TRIED = 10_000
"""Problems whose columns are looked at before the run."""


@dataclass(slots=True)
class Seen(Fields):
    """What a run has seen of its problems."""

    completions: dict[str, tuple[float, float]] = field(default_factory=dict)
    """By kind of problem: how many were right and wrong, decayed."""
    asked: set[int] = field(default_factory=set)
    """Question keys."""


@dataclass(slots=True)
class Selector:
    """Asks the most instructive of the next problems; the rest of them are passed over until the next epoch."""

    source: PromptSource
    data: DataSection
    reward: str
    """By whose mean a group's solve rate goes; between 0 and 1."""
    seed: int
    kept: Seen = field(default_factory=Seen)

    def next(self, n: int) -> list[Prompt]:
        """Give n prompts, in the order of the source."""
        draw = Random(f"{self.seed}/selection/{self.source.position}")
        pool = self.source.next(max(n, min(POOL * n, self.source.problems)))
        rates = [draw.betavariate(*self._beta(prompt.problem)) for prompt in pool]
        left = sorted(range(len(pool)), key=lambda place: abs(rates[place] - 0.5))
        chosen = [left.pop(draw.randrange(len(left)) if draw.random() < UNIFORM else 0) for _ in range(n)]
        return [pool[place] for place in sorted(chosen)]

    def learn(self, groups: Sequence[ScoredGroup]) -> dict[str, float]:
        """Take note of what a step's groups solved. How far off that was, and how many problems were asked so far."""
        errors, kept = [], self.kept
        for scored in groups:
            problem = scored.group.prompt.problem
            kept.asked.add(question_key(problem.question))
            values = [min(1.0, max(0.0, value)) for value in scored.rewards[self.reward] if value is not None]
            if not values:
                continue
            right, wrong = self._beta(problem)
            errors.append(abs(fmean(values) - right / (right + wrong)))
            right, wrong = kept.completions.get(self._kind(problem), (0.0, 0.0))
            solved = sum(values)
            kept.completions[self._kind(problem)] = DECAY * right + solved, DECAY * wrong + len(values) - solved
        found = {"selection/distinct": float(len(kept.asked))}
        return found | ({"selection/error": fmean(errors)} if errors else {})

    def _beta(self, problem: Problem) -> tuple[float, float]:
        """What is thought of its solve rate, as the two parameters of a Beta distribution."""
        right, wrong = self.kept.completions.get(self._kind(problem), (0.0, 0.0))
        rate = solve_rate(problem, self.data.difficulty) if self.data.difficulty else None
        if rate is not None:
            right, wrong = right + PRIOR * rate, wrong + PRIOR * (1.0 - rate)
        return 1.0 + right, 1.0 + wrong

    def _kind(self, problem: Problem) -> str:
        """Problems of one kind are equally hard; without `data.difficulty_key` each is its own."""
        if not self.data.difficulty_key:
            return f"{question_key(problem.question):x}"
        return json.dumps([look_up(problem.columns, name) for name in self.data.difficulty_key], default=str)


def solve_rate(problem: Problem, column: str) -> float | None:
    """The share of tries that solved it, as the data has it; None where it has none.

    >>> solve_rate(Problem(0, "1+1?", "2", {"stats": {"rate": "0.25"}}), "stats.rate")
    0.25
    """
    try:
        rate = float(look_up(problem.columns, column))
    except (TypeError, ValueError):
        return None
    return rate if 0.0 <= rate <= 1.0 else None


def refuse_columns(data: DataSection, problems: ProblemSet) -> None:
    """BadInput where problems have no such columns, or what stands in `data.difficulty` is no share."""
    sample = even_sample(problems, TRIED)
    for name in (*([data.difficulty] if data.difficulty else []), *data.difficulty_key):
        if sample and all(look_up(one.columns, name) is None for one in sample):
            known = list(sample[0].columns)
            hint = nearest(name, known) or f" (columns: {', '.join(known) or 'none'})"
            raise BadInput(f"data: the problems have no column {name!r} to tell how hard they are{hint}")
    if data.difficulty is None:
        return
    for one in sample:
        value = look_up(one.columns, data.difficulty)
        if value is not None and solve_rate(one, data.difficulty) is None:
            raise BadInput(
                f"data.difficulty: row {one.index} has {value!r}; it needs the share of tries that were right, 0 to 1"
            )
