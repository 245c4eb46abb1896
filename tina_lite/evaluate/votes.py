"""Majority vote: the answer that most completions of a problem give (self-consistency, arXiv 2203.11171)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from tina_lite.answers import LONGEST_ANSWER, bare, framed_answer
from tina_lite.answers.in_text import number_stated
from tina_lite.answers.kinds import Formula, Kind, Number
from tina_lite.answers.reading import kind_of

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


def _vote(text: str, is_right: bool) -> Kind | str | None:
    if is_right:
        return RIGHT
    stated = framed_answer(text)
    if stated is None:
        return number_stated(text)
    kind = kind_of(bare(stated)[:LONGEST_ANSWER])
    if isinstance(kind, Number):
        return replace(kind, rounded=False, unit="", name="")
    return Formula("".join(kind.text.split())) if isinstance(kind, Formula) and kind.text else kind
