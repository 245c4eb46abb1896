"""Rewards that weigh how long a completion is, in tokens, against whether it is right.

Tokens are those that were sampled, the end-of-text token included. Where the gold cannot be parsed there is no opinion.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import groupby

from tina_lite.errors import BadInput
from tina_lite.rewards.accuracy import decided
from tina_lite.rewards.completions import Completions, contents
from tina_lite.rewards.registry import reward

L1_SLOPE = 0.0003
"""Reward per token away from the target."""
L1_MAX_OFFSET = 0.5

TokenIds = Sequence[Sequence[int]]


def kimi(lengths: Sequence[int], right: Sequence[bool | None]) -> list[float | None]:
    """The length reward of one group, `lengths` in tokens.

    >>> kimi([10, 20, 30], [True, False, False]), kimi([8, 8], [True, False])
    ([0.5, 0.0, -0.5], [0.0, 0.0])
    """
    shortest, longest = min(lengths), max(lengths)
    if shortest == longest:
        return [None if ok is None else 0.0 for ok in right]
    scales = [0.5 - (length - shortest) / (longest - shortest) for length in lengths]
    return [None if ok is None else scale if ok else min(0.0, scale) for scale, ok in zip(scales, right, strict=True)]


@reward("length", own_limit=True)
def length(
    completions: Completions, completion_ids: TokenIds, answer: Sequence[object], group_ids: Sequence[int]
) -> list[float | None]:
    r"""Inside a group: l = 0.5 - (len - min) / (max - min); right: l, wrong: min(0, l); all 0 where lengths are equal.

    Range: -0.5 to 0.5. len in tokens. Source: Kimi k1.5 (arXiv 2501.12599), section 2.3.3.

    >>> from tina_lite.rewards.completions import chat
    >>> texts = chat(r"\boxed{2}", r"1+1=2, \boxed{2}", r"er, \boxed{3}", r"\boxed{4}")
    >>> length(texts, [[0] * 4, [0] * 8, [0] * 8, [0] * 4], ["2"] * 4, [0, 0, 0, 0])
    [0.5, -0.5, -0.5, 0.0]
    """
    rows = zip(group_ids, map(len, completion_ids), decided(contents(completions), answer), strict=True)
    values: list[float | None] = []
    for _, group in groupby(rows, key=lambda row: row[0]):
        _, lengths, right = zip(*group, strict=True)
        values += kimi(lengths, right)
    return values


@reward("cosine", own_limit=True)
def cosine(
    completions: Completions,
    completion_ids: TokenIds,
    answer: Sequence[object],
    *,
    max_length: int = 3584,
    correct_short: float = 1.0,
    correct_long: float = 0.5,
    wrong_short: float = 0.0,
    wrong_long: float = -0.5,
) -> list[float | None]:
    r"""long + 0.5 (short - long) (1 + cos(pi len / max_length)), with bounds for right and for wrong completions.

    Range: with the defaults 1.0 (short) to 0.5 (long) where right, 0.0 to -0.5 where wrong. len and max_length in
    tokens; past max_length the value stays at its long end. Source: "Demystifying Long Chain-of-Thought Reasoning"
    (arXiv 2502.03373), C.1; bounds as in Tina's recipes.

    >>> from tina_lite.rewards.completions import chat
    >>> texts = chat(*[r"\boxed{2}"] * 3, *[r"\boxed{3}"] * 3)
    >>> ids = [[0] * 1, [0] * 5, [0] * 10] * 2
    >>> [round(value, 4) for value in cosine(texts, ids, ["2"] * 6, max_length=10)]
    [0.9878, 0.75, 0.5, -0.0122, -0.25, -0.5]
    """
    if max_length < 1:
        raise BadInput(f"reward cosine: max_length is {max_length}; it must be 1 token or more")

    def value(right: bool, tokens: int) -> float:
        short, long = (correct_short, correct_long) if right else (wrong_short, wrong_long)
        return long + 0.5 * (short - long) * (1 + math.cos(math.pi * min(tokens, max_length) / max_length))

    right = decided(contents(completions), answer)
    return [None if ok is None else value(ok, len(ids)) for ok, ids in zip(right, completion_ids, strict=True)]


@reward("soft_overlong")
def soft_overlong(completion_ids: TokenIds, *, max_length: int = 3584, soft_punish_cache: int = 512) -> list[float]:
    """0 up to max_length - cache; then (max_length - cache - len) / cache, down to -1 at max_length and past it.

    Range: -1 to 0, whether the answer is right or wrong. len, max_length and soft_punish_cache in tokens. Source: DAPO
    (arXiv 2503.14476), equation 13.

    >>> soft_overlong([[0] * tokens for tokens in (0, 60, 70, 100, 101)], max_length=100, soft_punish_cache=40)
    [0.0, 0.0, -0.25, -1.0, -1.0]
    """
    if not 0 < soft_punish_cache <= max_length:
        wanted = f"it must be from 1 to max_length, {max_length}"
        raise BadInput(f"reward soft_overlong: soft_punish_cache is {soft_punish_cache}; {wanted}")
    past = [len(ids) - (max_length - soft_punish_cache) for ids in completion_ids]
    return [-min(1.0, tokens / soft_punish_cache) if tokens > 0 else 0.0 for tokens in past]


@reward("length_l1_exact", own_limit=True)
def length_l1_exact(
    completions: Completions, completion_ids: TokenIds, answer: Sequence[object], target_length: Sequence[int | None]
) -> list[float | None]:
    r"""Right: 1 - 0.0003 |len - target|, wrong: -0.0003 |len - target|.

    Range: at most 1, no floor. len and target_length, a column of the problem, in tokens. Source: L1 (arXiv
    2503.04697), equation 1.

    >>> from tina_lite.rewards.completions import chat
    >>> length_l1_exact(chat(*[r"\boxed{2}"] * 2, "3"), [[0] * 100, [0] * 1100, [0] * 1100], ["2"] * 3, [100] * 3)
    [1.0, 0.7, -0.3]
    """
    return [
        None if tokens_off is None else float(right) - L1_SLOPE * abs(tokens_off)
        for right, tokens_off in _past_target(completions, completion_ids, answer, target_length)
    ]


@reward("length_l1_max", own_limit=True)
def length_l1_max(
    completions: Completions, completion_ids: TokenIds, answer: Sequence[object], target_length: Sequence[int | None]
) -> list[float | None]:
    r"""Right: clip(0.0003 (target - len) + 0.5, 0, 1), wrong: 0.

    Range: 0 to 1. len and target_length, a column of the problem, in tokens. Source: L1 (arXiv 2503.04697), equation 2.

    >>> from tina_lite.rewards.completions import chat
    >>> length_l1_max(chat(*[r"\boxed{2}"] * 2, "3"), [[0] * 100, [0] * 1100, [0] * 100], ["2"] * 3, [100] * 3)
    [0.5, 0.2, 0.0]
    """
    return [
        None if tokens_off is None else min(1.0, max(0.0, L1_MAX_OFFSET - L1_SLOPE * tokens_off)) if right else 0.0
        for right, tokens_off in _past_target(completions, completion_ids, answer, target_length)
    ]


def _past_target(
    completions: Completions, completion_ids: TokenIds, answer: Sequence[object], target_length: Sequence[int | None]
) -> Iterable[tuple[bool, int | None]]:
    """Whether each completion is right, and its tokens past the target; None where either is unknown."""
    for right, ids, target in zip(decided(contents(completions), answer), completion_ids, target_length, strict=True):
        yield bool(right), None if right is None or target is None else len(ids) - target
