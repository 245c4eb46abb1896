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


def contents(chats: Completions) -> list[str]:
    """The last text of each: of a completion it is the only one, of a prompt the question."""
    return [messages[-1]["content"] for messages in chats]
