"""Rewards for the outer form of a completion: its tags, its box, its syntax.

The chat template of R1-Distill models, and of the shipped base, opens `<think>` in the prompt; a good completion holds
the closing tag only, on a line of its own.
"""

import json
import re
from collections.abc import Callable

from tina_lite.answers import last_boxed
from tina_lite.errors import BadInput
from tina_lite.rewards.completions import Completions, contents
from tina_lite.rewards.registry import reward

OPENING = re.compile(r"<think>\n")
CLOSING = re.compile(r"(?=\n</think>\n)")
"""A lookahead, so that two tags which share a line break count as two."""
TAGS = ("<think>", "</think>", "<answer>", "</answer>")
FENCE = re.compile(r"\A```(?:json)?[ \t]*\n(.*)\n[ \t]*```\Z", re.DOTALL)


def once(tag: re.Pattern[str], text: str) -> bool:
    return len(tag.findall(text)) == 1


def think(text: str) -> bool:
    """The closing tag on a line of its own, exactly once."""
    return once(CLOSING, text)


def think_answer(text: str) -> bool:
    """Thoughts, `</think>`, and then nothing but an answer in its tags; `<think>` may open the thoughts."""
    thoughts, closing, rest = text.partition("</think>")
    thoughts, rest = thoughts.strip().removeprefix("<think>"), rest.strip()
    answer = rest.removeprefix("<answer>").removesuffix("</answer>")
    framed = bool(closing) and len(rest) == len("<answer>") + len(answer) + len("</answer>")
    return framed and bool(answer.strip()) and not any(tag in part for tag in TAGS for part in (thoughts, answer))


def has_box(text: str) -> bool:
    r"""A `\boxed{}` with something in it and its braces balanced."""
    return bool((last_boxed(text) or "").strip())


VARIANTS: dict[str, Callable[[str], bool]] = {"think": think, "think_answer": think_answer, "boxed": has_box}


@reward("format")
def format_reward(completions: Completions, *, variant: str = "think") -> list[float]:
    r"""1 if the text has the form, else 0.

    think: the closing tag on a line of its own exactly once. think_answer: `<think>..</think><answer>..</answer>` and
    nothing else, white space aside; the opening tag may stand in the prompt. boxed: as the reward `boxed`. Range: 0 or
    1. Source: Tina (arXiv 2504.15777), after open-r1's format reward, whose template opens the tag; think_answer is the
    format of DeepSeek-R1-Zero (arXiv 2501.12948), table 1.

    >>> from tina_lite.rewards.completions import chat
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

    >>> from tina_lite.rewards.completions import chat
    >>> boxed(chat(r"so \boxed{34}", r"\boxed{}", r"\boxed{34", "34", ""))
    [1.0, 0.0, 0.0, 0.0, 0.0]
    """
    return [float(has_box(text)) for text in contents(completions)]


@reward("json_valid")
def json_valid(completions: Completions) -> list[float]:
    r"""1 if what follows the thoughts is one JSON value and nothing else, else 0.

    A Markdown fence around it is taken off. Range: 0 or 1. NaN and Infinity are no JSON. Source: RFC 8259.

    >>> from tina_lite.rewards.completions import chat
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

    >>> from tina_lite.rewards.completions import chat
    >>> tag_count(chat("<think>\na\n</think>\n2", "a\n</think>\n2", "<think>\n<think>\na", ""))
    [1.0, 0.5, 0.0, 0.0]
    """
    return [0.5 * once(OPENING, text) + 0.5 * once(CLOSING, text) for text in contents(completions)]
