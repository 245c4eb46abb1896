"""The rewards of the paper and of open-r1 that need no judge: form, length, repetition, steps."""

import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby

from tina_lite.answers import last_boxed
from tina_lite.rewards.accuracy import Verifiers, decided
from tina_lite.rewards.call import Completions, contents
from tina_lite.rewards.registry import reward
from tina_lite.util.errors import BadInput

# Rewards for the outer form of a completion: its tags, its box, its syntax.
#
# The chat template of R1-Distill models, and of the shipped base, opens `<think>` in the prompt; a good completion
# holds the closing tag only, on a line of its own.

OPENING = re.compile(r"<think>\n")
CLOSING = re.compile(r"(?=\n</think>\n)")
"""A lookahead, so that two tags which share a line break count as two."""
TAGS = ("<think>", "</think>", "<answer>", "</answer>")
FENCE = re.compile(r"\A```(?:json)?[ \t]*\n(.*)\n[ \t]*```\Z", re.DOTALL)


def once(tag: re.Pattern[str], text: str) -> bool:
    return len(tag.findall(text)) == 1


def think(text: str) -> bool:
    """Reward the closing tag on a line of its own, exactly once."""
    return once(CLOSING, text)


def think_answer(text: str) -> bool:
    """Thoughts, `</think>`, and then nothing but an answer in its tags; `<think>` may open the thoughts."""
    thoughts, closing, rest = text.partition("</think>")
    thoughts, rest = thoughts.strip().removeprefix("<think>"), rest.strip()
    answer = rest.removeprefix("<answer>").removesuffix("</answer>")
    framed = bool(closing) and len(rest) == len("<answer>") + len(answer) + len("</answer>")
    return framed and bool(answer.strip()) and not any(tag in part for tag in TAGS for part in (thoughts, answer))


def has_box(text: str) -> bool:
    r"""Say whether there is a `\boxed{}` with something in it and its braces balanced."""
    return bool((last_boxed(text) or "").strip())


VARIANTS: dict[str, Callable[[str], bool]] = {"think": think, "think_answer": think_answer, "boxed": has_box}


@reward("format")
def format_reward(completions: Completions, *, variant: str = "think") -> list[float]:
    r"""1 if the text has the form, else 0.

    think: the closing tag on a line of its own exactly once. think_answer: `<think>..</think><answer>..</answer>` and
    nothing else, white space aside; the opening tag may stand in the prompt. boxed: as the reward `boxed`. Range: 0 or
    1. Source: Tina (arXiv 2504.15777), after open-r1's format reward, whose template opens the tag; think_answer is the
    format of DeepSeek-R1-Zero (arXiv 2501.12948), table 1.

    >>> from tina_lite.rewards.call import chat
    >>> format_reward(chat("1+1=2\n</think>\n2", "2", "a</think>\n2", "a\n</think>\nb\n</think>\n2", ""))
    [1.0, 0.0, 0.0, 0.0, 0.0]
    >>> texts = chat("1+1\n</think>\n<answer>2</answer>", "<think>a</think><answer> 2 </answer>\n", "a</think>2")
    >>> format_reward(texts, variant="think_answer"), format_reward(chat(r"so \boxed{2}"), variant="boxed")
    ([1.0, 1.0, 0.0], [1.0])
    """
    if variant not in VARIANTS:
        raise BadInput(f"reward format: variant is {variant!r}; it must be one of {', '.join(VARIANTS)}")
    return [float(VARIANTS[variant](text)) for text in contents(completions)]


@reward("boxed")
def boxed(completions: Completions) -> list[float]:
    r"""1 if the completion holds a `\boxed{}` with something in it and its braces balanced, else 0.

    Range: 0 or 1. Source: the answer format of DeepSeek-R1 (arXiv 2501.12948), section 2.2.2.

    >>> from tina_lite.rewards.call import chat
    >>> boxed(chat(r"so \boxed{34}", r"\boxed{}", r"\boxed{34", "34", ""))
    [1.0, 0.0, 0.0, 0.0, 0.0]
    """
    return [float(has_box(text)) for text in contents(completions)]


@reward("json_valid")
def json_valid(completions: Completions) -> list[float]:
    r"""1 if what follows the thoughts is one JSON value and nothing else, else 0.

    A Markdown fence around it is taken off. Range: 0 or 1. NaN and Infinity are no JSON. Source: RFC 8259.

    >>> from tina_lite.rewards.call import chat
    >>> texts = chat('{"a": [1, 2]}', 'so\n</think>\n```json\n{"a": 1}\n```', '{"a": 1} so', "{'a': 1}", "[NaN]", "")
    >>> json_valid(texts)
    [1.0, 1.0, 0.0, 0.0, 0.0, 0.0]
    """
    return [float(_is_json(FENCE.sub(r"\1", text.rpartition("</think>")[2].strip()))) for text in contents(completions)]


def _is_json(text: str) -> bool:
    try:
        json.loads(text, parse_constant=_no_json)
    except (ValueError, RecursionError):
        return False
    return True


def _no_json(constant: str) -> None:
    raise ValueError(constant)


@reward("tag_count")
def tag_count(completions: Completions) -> list[float]:
    r"""0.5 for exactly one opening tag at the end of a line, and 0.5 for exactly one closing tag on a line of its own.

    Range: 0, 0.5 or 1. Source: Tina (arXiv 2504.15777), after open-r1's tag_count. Where the template opens the tag, a
    completion without an opening tag gets 0.5 at most.

    >>> from tina_lite.rewards.call import chat
    >>> tag_count(chat("<think>\na\n</think>\n2", "a\n</think>\n2", "<think>\n<think>\na", ""))
    [1.0, 0.5, 0.0, 0.0]
    """
    return [0.5 * once(OPENING, text) + 0.5 * once(CLOSING, text) for text in contents(completions)]


# Rewards that weigh how long a completion is, in tokens, against whether it is right.
#
# Tokens are those that were sampled, the end-of-text token included. Where the gold cannot be parsed there is no
# opinion.

L1_SLOPE = 0.0003
"""Reward per token away from the target."""
L1_MAX_OFFSET = 0.5

TokenIds = Sequence[Sequence[int]]


def kimi(lengths: Sequence[int], right: Sequence[bool | None]) -> list[float | None]:
    """Compute the length reward of one group, `lengths` in tokens.

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
    completions: Completions,
    completion_ids: TokenIds,
    answer: Sequence[object],
    group_ids: Sequence[int],
    verifier: Verifiers = None,
) -> list[float | None]:
    r"""Inside a group: l = 0.5 - (len - min) / (max - min); right: l, wrong: min(0, l); all 0 where lengths are equal.

    Range: -0.5 to 0.5. len in tokens. Source: Kimi k1.5 (arXiv 2501.12599), section 2.3.3.

    >>> from tina_lite.rewards.call import chat
    >>> texts = chat(r"\boxed{2}", r"1+1=2, \boxed{2}", r"er, \boxed{3}", r"\boxed{4}")
    >>> length(texts, [[0] * 4, [0] * 8, [0] * 8, [0] * 4], ["2"] * 4, [0, 0, 0, 0])
    [0.5, -0.5, -0.5, 0.0]
    """
    rows = zip(group_ids, map(len, completion_ids), decided(contents(completions), answer, verifier), strict=True)
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
    verifier: Verifiers = None,
    *,
    max_length: int = 3584,
    correct_short: float = 1.0,
    correct_long: float = 0.5,
    wrong_short: float = 0.0,
    wrong_long: float = -0.5,
) -> list[float | None]:
    r"""Give long + 0.5 (short - long) (1 + cos(pi len / max_length)), with bounds for right and for wrong completions.

    Range: with the defaults 1.0 (short) to 0.5 (long) where right, 0.0 to -0.5 where wrong. len and max_length in
    tokens; past max_length the value stays at its long end. Source: "Demystifying Long Chain-of-Thought Reasoning"
    (arXiv 2502.03373), C.1; bounds as in Tina's recipes.

    >>> from tina_lite.rewards.call import chat
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

    right = decided(contents(completions), answer, verifier)
    return [None if ok is None else value(ok, len(ids)) for ok, ids in zip(right, completion_ids, strict=True)]


@reward("soft_overlong")
def soft_overlong(completion_ids: TokenIds, *, max_length: int = 3584, soft_punish_cache: int = 512) -> list[float]:
    """Give 0 up to max_length - cache; then (max_length - cache - len) / cache, down to -1 at max_length and past it.

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
    completions: Completions,
    completion_ids: TokenIds,
    answer: Sequence[object],
    target_length: Sequence[int | None],
    verifier: Verifiers = None,
) -> list[float | None]:
    r"""Give right completions 1 - 0.0003 |len - target|, wrong ones -0.0003 |len - target|.

    Range: at most 1, no floor. len and target_length, a column of the problem, in tokens. Source: L1 (arXiv
    2503.04697), equation 1.

    >>> from tina_lite.rewards.call import chat
    >>> length_l1_exact(chat(*[r"\boxed{2}"] * 2, "3"), [[0] * 100, [0] * 1100, [0] * 1100], ["2"] * 3, [100] * 3)
    [1.0, 0.7, -0.3]
    """
    return [
        None if tokens_off is None else float(right) - L1_SLOPE * abs(tokens_off)
        for right, tokens_off in _past_target(completions, completion_ids, answer, target_length, verifier)
    ]


@reward("length_l1_max", own_limit=True)
def length_l1_max(
    completions: Completions,
    completion_ids: TokenIds,
    answer: Sequence[object],
    target_length: Sequence[int | None],
    verifier: Verifiers = None,
) -> list[float | None]:
    r"""Give right completions clip(0.0003 (target - len) + 0.5, 0, 1), wrong ones 0.

    Range: 0 to 1. len and target_length, a column of the problem, in tokens. Source: L1 (arXiv 2503.04697), equation 2.

    >>> from tina_lite.rewards.call import chat
    >>> length_l1_max(chat(*[r"\boxed{2}"] * 2, "3"), [[0] * 100, [0] * 1100, [0] * 100], ["2"] * 3, [100] * 3)
    [0.5, 0.2, 0.0]
    """
    return [
        None if tokens_off is None else min(1.0, max(0.0, L1_MAX_OFFSET - L1_SLOPE * tokens_off)) if right else 0.0
        for right, tokens_off in _past_target(completions, completion_ids, answer, target_length, verifier)
    ]


def _past_target(
    completions: Completions,
    completion_ids: TokenIds,
    answer: Sequence[object],
    target_length: Sequence[int | None],
    verifier: Verifiers = None,
) -> Iterable[tuple[bool, int | None]]:
    """Whether each completion is right, and its tokens past the target; None where either is unknown."""
    for right, ids, target in zip(
        decided(contents(completions), answer, verifier), completion_ids, target_length, strict=True
    ):
        yield bool(right), None if right is None or target is None else len(ids) - target


def repeated_share(words: list[str], ngram_size: int) -> float:
    """Compute 1 - unique n-grams / n-grams; 0 for a text shorter than one n-gram.

    >>> repeated_share("a b a b a b".split(), 2)
    0.6
    """
    total = len(words) - ngram_size + 1
    if total <= 0:
        return 0.0
    unique = len(set(zip(*(words[start:] for start in range(ngram_size)), strict=False)))
    return 1 - unique / total


@reward("repetition_penalty")
def repetition_penalty(completions: Completions, *, ngram_size: int = 3, max_penalty: float = -1.0) -> list[float]:
    """Give max_penalty * (1 - unique n-grams / n-grams), n-grams of lower-cased words between white space.

    Range: max_penalty (every n-gram the same) to 0 (none repeated, or fewer words than one n-gram). ngram_size in
    words. Source: "Demystifying Long Chain-of-Thought Reasoning" (arXiv 2502.03373), C.2.

    >>> from tina_lite.rewards.call import chat
    >>> repetition_penalty(chat("one two three four", "Wait wait wait wait wait", "one two", ""))
    [0.0, -0.6666666666666667, 0.0, 0.0]
    """
    if ngram_size < 1:
        raise BadInput(f"reward repetition_penalty: ngram_size is {ngram_size}; it must be 1 or more")
    if max_penalty > 0:
        raise BadInput(f"reward repetition_penalty: max_penalty is {max_penalty}; it must be 0 or less")
    shares = [repeated_share(text.lower().split(), ngram_size) for text in contents(completions)]
    return [share * max_penalty if share else 0.0 for share in shares]


STEP = re.compile(r"Step \d+:|^\d+\.|^[-*]|First,|Second,|Next,|Finally,", re.MULTILINE)
STEPS_FOR_FULL_REWARD = 3


@reward("reasoning_steps")
def reasoning_steps(completions: Completions) -> list[float]:
    r"""Give min(1, hits / 3).

    A hit is "Step N:", a line that starts with "N.", "-" or "*", or "First,", "Second,", "Next," or "Finally,".

    Range: 0 to 1. Source: open-r1's reasoning_steps, used in Tina (arXiv 2504.15777).

    >>> from tina_lite.rewards.call import chat
    >>> reasoning_steps(chat("Step 1: add\nStep 2: halve\nFinally, 7", "1. add\n2. halve\n3. 7\n4. done", "7", ""))
    [1.0, 1.0, 0.0, 0.0]
    >>> [round(value, 3) for value in reasoning_steps(chat("- add", "First, add. Next, halve."))]
    [0.333, 0.667]
    """
    return [min(1.0, len(STEP.findall(text)) / STEPS_FOR_FULL_REWARD) for text in contents(completions)]
