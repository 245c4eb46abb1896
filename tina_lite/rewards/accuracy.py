"""The accuracy reward: does the completion's final answer equal the gold?

What is plainly a number, a word, a date, a choice or a list of such is compared as that (tina_lite/answers); the rest
goes to math-verify in a worker process with a wall-clock limit, so that sympy can neither hang nor bloat the run.
Verdicts are kept.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from tina_lite.answers import bare, comparable, final_answer, framed_answer, is_sane
from tina_lite.answers.gym_gold import GymGold
from tina_lite.answers.in_text import right_in_text
from tina_lite.answers.reading import kind_of
from tina_lite.answers.sameness import same
from tina_lite.answers.spelling import one_spelling
from tina_lite.rewards.calling import Failure
from tina_lite.rewards.completions import Completions, contents
from tina_lite.rewards.golds import Verdict, best_of, each_gold
from tina_lite.rewards.gym import gym_scores
from tina_lite.rewards.judges import math_verify, undecided
from tina_lite.rewards.registry import reward
from tina_lite.rewards.workers import LOST, Lost

TAIL = 4000
"""Characters of a box-less completion that math-verify reads: it wants the last match, and its patterns are slow."""
BRACKETS_IN_A_ROW = re.compile(r"([][(){}])\1{30,}")
"""No part of an answer, and slow to read."""
UNDECIDED = undecided("math-verify")


class Question(NamedTuple):
    """What math-verify is asked."""

    gold: str
    answer: str
    boxed: bool
    """Whether `answer` is the answer alone or a text in which to find it."""


@reward("accuracy", own_limit=True)
def accuracy(completions: Completions, answer: Sequence[object]) -> list[float | Failure | None]:
    r"""1 if the completion's answer equals the gold, else 0; None where the gold cannot be parsed.

    The answer is that of the last `\boxed{}` whose braces balance, or of all boxes of one last statement; without one,
    of the last `<answer>` tags; else what the text announces, or its last number.
    Range: 0 or 1. Source: DeepSeek-R1 (arXiv 2501.12948), section 2.2.2; equality is math-verify's.

    >>> from tina_lite.rewards.completions import chat
    >>> texts = chat(r"\boxed{34}", r"\boxed{35}", "So the answer is 34.", r"\boxed{35} no, \boxed{34.0}", "", "34")
    >>> accuracy(texts, ["34", "34", "34", "34", "34", ""])
    [1.0, 0.0, 1.0, 1.0, 0.0, None]
    """
    found = verdicts(contents(completions), answer)
    return [UNDECIDED if right is LOST else None if right is None else float(right is True) for right in found]


def verdicts(texts: Sequence[str], golds: Sequence[object]) -> list[Verdict]:
    """For each text whether it is right; None where the gold cannot be parsed, LOST where no time sufficed.

    Of a list of golds any is right.
    """
    pairs = [(text, one) for text, gold in zip(texts, golds, strict=True) for one in each_gold(gold)]
    single = iter(_of_pairs(pairs))
    return [best_of([next(single) for _ in each_gold(gold)]) for gold in golds]


def _of_pairs(pairs: Sequence[tuple[str, object]]) -> list[Verdict]:
    """Of texts with one gold each."""
    found = [
        _of_score(score) if isinstance(gold, GymGold) else _quick_verdict(text, gold)
        for (text, gold), score in zip(pairs, gym_scores(pairs), strict=True)
    ]
    unsure = [verdict for verdict in found if isinstance(verdict, Question)]
    replies = iter(math_verify().ask([question._asdict() for question in unsure]) if unsure else ())
    return [next(replies) if isinstance(verdict, Question) else verdict for verdict in found]


def _of_score(score: float | Lost | None) -> Verdict:
    """Of a verifier's score: right is a full one."""
    return score if score is None or isinstance(score, Lost) else score >= 1


def decided(texts: Sequence[str], golds: Sequence[object]) -> list[bool | None]:
    """The same, with None for what was not decided either."""
    return [None if isinstance(right, Lost) else right for right in verdicts(texts, golds)]


def _quick_verdict(text: str, raw_gold: object) -> bool | Question | None:
    """A verdict without math-verify, or the question for it."""
    gold = "" if raw_gold is None else final_answer(str(raw_gold))
    if not comparable(gold):
        return None
    stated = framed_answer(text)
    if stated is None:
        sure = right_in_text(kind_of(gold), text)
        asked = one_spelling(BRACKETS_IN_A_ROW.sub(" ", text[-TAIL:]))
        return Question(one_spelling(gold), asked, boxed=False) if sure is None else sure
    answer = bare(stated)
    if not is_sane(answer):
        return False
    if answer == gold:
        return True
    sure = same(kind_of(gold), kind_of(answer))
    return Question(one_spelling(gold), one_spelling(answer), boxed=True) if sure is None else sure
