"""Majority vote: the answer that most completions of a problem give (self-consistency, arXiv 2203.11171)."""

from collections import Counter
from collections.abc import Sequence

from tina_lite.answers import LONGEST_ANSWER, bare, last_boxed
from tina_lite.rewards.numbers import Number, number_in_text, plain_number

RIGHT = "right"
"""The one vote of all completions that were judged right, in whatever way they write the answer."""


def majority_share(texts: Sequence[str], right: Sequence[bool]) -> float:
    r"""1 if the answer with most votes is right, 0 if it is not, the chance of a fair draw where several have as many.

    Wrong answers are one where they are the same number or the same text; a completion without an answer has no vote.

    >>> majority_share([r"\boxed{4}", r"\boxed{4.0}", r"\boxed{5}"], [True, True, False])
    1.0
    >>> majority_share([r"\boxed{4}", r"\boxed{5}", "no idea"], [True, False, False])
    0.5
    """
    votes = Counter(vote for text, is_right in zip(texts, right, strict=True) if (vote := _vote(text, is_right)))
    most = max(votes.values(), default=0)
    leaders = [vote for vote, count in votes.items() if count == most]
    return 1 / len(leaders) if RIGHT in leaders else 0.0


def _vote(text: str, is_right: bool) -> str | None:
    if is_right:
        return RIGHT
    boxed = last_boxed(text)
    if boxed is None:
        found = number_in_text(text)
        return f"={found.value}" if isinstance(found, Number) else None
    answer = bare(boxed)[:LONGEST_ANSWER]
    number = plain_number(answer)
    return f"={number.value}" if number else "".join(answer.split()) or None
