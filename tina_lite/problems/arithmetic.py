"""The quickstart's task: sums and differences of two to four numbers, half of them told as a story.

Every problem is a pure function of (seed, split, index), so a data set needs no file and a resumed run needs no
state. The two splits share no expression: a hash of the expression decides to which it belongs, in pre-training of
the shipped base as well as in reinforcement learning.

>>> arithmetic(seed=1, split="train", index=0) == arithmetic(seed=1, split="train", index=0)
True
>>> Sum((66, 38, -70)).expression, Sum((66, 38, -70)).value, Sum((66, 38, -70)).steps
('66+38-70', 34, ('66+38=104', '104-70=34'))
"""

import random
from dataclasses import dataclass
from hashlib import blake2b
from itertools import accumulate

LARGEST_VALUE = 199
LARGEST_OPERAND = 99
HELD_OUT_ONE_IN = 8

NAMES = ("Sam", "Mia", "Tom", "Ana", "Leo", "Eve", "Max", "Zoe")
THINGS = ("shells", "coins", "books", "cards", "stamps", "apples", "beads", "pens")
GAINS = ("gets {} more", "finds {}", "buys {}", "wins {}")
LOSSES = ("loses {}", "sells {}", "gives {} away", "drops {}")


@dataclass(frozen=True, slots=True)
class Sum:
    """Two to four signed terms; every running total lies in 0..LARGEST_VALUE."""

    terms: tuple[int, ...]

    @property
    def value(self) -> int:
        return sum(self.terms)

    @property
    def expression(self) -> str:
        return str(self.terms[0]) + "".join(f"{term:+d}" for term in self.terms[1:])

    @property
    def steps(self) -> tuple[str, ...]:
        """The working, one operation a line."""
        totals = tuple(accumulate(self.terms))
        return tuple(f"{before}{term:+d}={after}" for before, term, after in zip(totals, self.terms[1:], totals[1:]))

    @property
    def held_out(self) -> bool:
        digest = blake2b(self.expression.encode(), digest_size=4).digest()
        return int.from_bytes(digest, "big") % HELD_OUT_ONE_IN == 0


def draw_sum(rng: random.Random, held_out: bool) -> Sum:
    """A random sum of the wanted split, by rejection."""
    while True:
        count = rng.choice((2, 3, 4))
        terms = [rng.randint(2, LARGEST_OPERAND)]
        terms += [rng.choice((1, -1)) * rng.randint(2, LARGEST_OPERAND) for _ in range(count - 1)]
        candidate = Sum(tuple(terms))
        if all(0 <= total <= LARGEST_VALUE for total in accumulate(terms)) and candidate.held_out == held_out:
            return candidate


def ask(rng: random.Random, problem: Sum) -> str:
    """The question in words: a bare expression, or a short story with the same numbers."""
    if rng.random() < 0.5:
        return f"What is {problem.expression}?"
    name, things = rng.choice(NAMES), rng.choice(THINGS)
    deeds = [rng.choice(GAINS if term > 0 else LOSSES).format(abs(term)) for term in problem.terms[1:]]
    told = ", then ".join(deeds)
    return f"{name} has {problem.terms[0]} {things}. {name} {told}. How many {things} now?"


def arithmetic(seed: int, split: str, index: int) -> tuple[str, str]:
    """Question and answer number `index` of a split ("train" or "test") under a seed."""
    rng = random.Random(f"{seed}/{split}/{index}")
    problem = draw_sum(rng, held_out=split == "test")
    return ask(rng, problem), str(problem.value)
