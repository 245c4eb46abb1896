"""Several golds of one problem, as data names them where a person would take any: one that fits is enough."""

from collections.abc import Sequence

from tina_lite.rewards.workers import LOST, Lost

Verdict = bool | Lost | None


def each_gold(gold: object) -> Sequence[object]:
    """
    >>> each_gold("5"), each_gold(["5", "5.0"]), each_gold([])
    (('5',), ['5', '5.0'], (None,))
    """
    if isinstance(gold, list | tuple):
        return gold or (None,)
    return (gold,)


def best_of(found: Sequence[Verdict]) -> Verdict:
    """Of one completion against each of its golds: right, else undecided, else wrong, else not comparable.

    >>> best_of([False, True]), best_of([None, False]), best_of([None])
    (True, False, None)
    """
    if True in found:
        return True
    if any(one is LOST for one in found):
        return LOST
    return False if False in found else None


def best(found: Sequence[float | None]) -> float | None:
    """The same for rewards.

    >>> best([0.0, 1.0]), best([None, 0.0]), best([None])
    (1.0, 0.0, None)
    """
    return max((one for one in found if one is not None), default=None)
