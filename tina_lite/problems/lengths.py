"""Problems that ask for an answer of a certain length: the data of L1 (arXiv 2503.04697)."""

import random
from dataclasses import replace

from tina_lite.problems.problem_set import ProblemSet
from tina_lite.records import Problem

REQUEST = "\n\nThink for {} tokens."
"""L1's own words."""


def ask_for_length(problems: ProblemSet, shortest: int, longest: int, seed: int) -> ProblemSet:
    """Draws a length in tokens for each problem; the rewards length_l1_* find it in the column target_length.

    The draw depends on the seed and the problem's row alone.
    """

    def asking(problem: Problem) -> Problem:
        tokens = random.Random(f"{seed}/target_length/{problem.index}").randint(shortest, longest)
        columns = {**problem.columns, "target_length": tokens}
        return replace(problem, question=problem.question + REQUEST.format(tokens), columns=columns)

    return problems.map(asking)
