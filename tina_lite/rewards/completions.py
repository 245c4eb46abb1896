"""The chat form in which TRL hands completions to a reward function: one list of messages a completion."""

from collections.abc import Sequence

Message = dict[str, str]
Completions = Sequence[Sequence[Message]]


def chat(*texts: str, role: str = "assistant") -> list[list[Message]]:
    """
    >>> chat("34")
    [[{'role': 'assistant', 'content': '34'}]]
    """
    return [[{"role": role, "content": text}] for text in texts]


def contents(completions: Completions) -> list[str]:
    """The text of each completion."""
    return [messages[0]["content"] for messages in completions]
