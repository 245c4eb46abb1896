"""Whether a completion goes round in circles: it will not end, and each token more is paid for."""

from collections.abc import Sequence

EVERY = 32
"""Tokens of a completion between two looks, so that what is decoded beside it plays no part."""
WINDOW = 64
LONGEST_PERIOD = 512
TAIL = WINDOW + 2 * LONGEST_PERIOD
"""Tokens that a look needs at most."""


def goes_round(ids: Sequence[int]) -> bool:
    """Whether the last `WINDOW` tokens have stood there twice before, one period apart, of which none overlap.

    So many as three windows must repeat: a hundred zeros or a wide table's rule are no loop.

    >>> goes_round([1, 2, 3] * 66), goes_round([7] * 191), goes_round(list(range(600)))
    (True, False, False)
    """
    last = list(ids[-WINDOW:])
    longest = min(LONGEST_PERIOD, (len(ids) - WINDOW) // 2)
    return any(
        list(ids[-WINDOW - period : -period]) == last and list(ids[-WINDOW - 2 * period : -2 * period]) == last
        for period in range(WINDOW, longest + 1)
        if ids[-1 - period] == last[-1]  # most are told apart by one token
    )
