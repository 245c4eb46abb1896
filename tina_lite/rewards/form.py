"""Rewards for the outer form of a completion: its thinking tags.

The chat template of R1-Distill models, and of the shipped base, opens `<think>` in the prompt; a good completion holds
the closing tag only, on a line of its own.
"""

import re

from tina_lite.rewards.completions import Completions, contents
from tina_lite.rewards.registry import reward

OPENING = re.compile(r"<think>\n")
CLOSING = re.compile(r"(?=\n</think>\n)")
"""A lookahead, so that two tags which share a line break count as two."""


def once(tag: re.Pattern[str], text: str) -> bool:
    return len(tag.findall(text)) == 1


@reward("format")
def format_reward(completions: Completions) -> list[float]:
    r"""1 if the text holds the closing tag on a line of its own exactly once, else 0.

    Range: 0 or 1. Source: Tina (arXiv 2504.15777), after open-r1's format reward; the template opens the tag.

    >>> from tina_lite.rewards.completions import chat
    >>> format_reward(chat("1+1=2\n</think>\n2", "2", "a</think>\n2", "a\n</think>\nb\n</think>\n2", ""))
    [1.0, 0.0, 0.0, 0.0, 0.0]
    """
    return [float(once(CLOSING, text)) for text in contents(completions)]


@reward("tag_count")
def tag_count(completions: Completions) -> list[float]:
    r"""0.5 for exactly one opening tag at the end of a line, and 0.5 for exactly one closing tag on a line of its own.

    Range: 0, 0.5 or 1. Source: Tina (arXiv 2504.15777), after open-r1's tag_count. Where the template opens the tag, a
    completion without an opening tag gets 0.5 at most.

    >>> from tina_lite.rewards.completions import chat
    >>> tag_count(chat("<think>\na\n</think>\n2", "a\n</think>\n2", "<think>\n<think>\na", ""))
    [1.0, 0.5, 0.0, 0.0]
    """
    return [0.5 * once(OPENING, text) + 0.5 * once(CLOSING, text) for text in contents(completions)]
