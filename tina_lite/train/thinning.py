"""Fewer completions in an update, at the same expected gradient."""

from collections.abc import Sequence
from random import Random


def thinned(advantages: Sequence[float], most: int, draw: Random, *, all_matter: bool = False) -> dict[int, float]:
    """Choose `most` completions of a group; gives each one's number and its weight in the loss.

    Completion i is taken with chance q_i and weighs 1 / q_i, so that the expected gradient is that of the whole group
    (Horvitz and Thompson, JASA 47, 1952). Its chance goes by |advantage|, as that is what its gradient has for a
    factor. Systematic sampling in the order of the advantages makes it a stratified choice: of two kinds of reward, as
    many of either.

    Args:
        advantages: of the whole group.
        most: with fewer that matter, all are taken.
        draw: one for this group of this step.
        all_matter: whether one without advantage has a gradient too, as with `grpo.beta`.

    >>> thinned([1.0, 1.0, -1.0, -1.0], 2, Random(1))
    {3: 2.0, 0: 2.0}
    >>> thinned([3.0, -1.0, -1.0, -1.0], 2, Random(1))
    {3: 3.0, 0: 1.0}
    """
    sizes = [abs(advantage) for advantage in advantages]
    if all_matter:
        mean = sum(sizes) / len(sizes)
        sizes = [size + (mean or 1.0) for size in sizes]
    chances = _chances(sizes, most)
    order = list(range(len(sizes)))
    draw.shuffle(order)  # equals stand in no order
    order.sort(key=lambda place: advantages[place])
    found, passed, next_at = {}, 0.0, draw.random()
    for place in order:
        passed += chances[place]
        if passed > next_at:
            found[place] = 1.0 / chances[place]
            next_at += 1.0
    return found


def _chances(sizes: Sequence[float], most: int) -> list[float]:
    """In proportion to the sizes, at most 1 each, and `most` in all where so many are above 0."""
    chances = [0.0] * len(sizes)
    left = {place for place, size in enumerate(sizes) if size > 0}
    room = most
    while len(left) > room > 0:
        share = room / sum(sizes[place] for place in left)
        sure = {place for place in left if share * sizes[place] >= 1.0}
        if not sure:
            return [share * size if place in left else chances[place] for place, size in enumerate(sizes)]
        for place in sure:
            chances[place] = 1.0
        left, room = left - sure, room - len(sure)
    for place in left if room else ():
        chances[place] = 1.0
    return chances
