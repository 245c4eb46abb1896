"""A problem as the text that the model sees, through the tokenizer's chat template where it has one."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

from tina_lite.util.errors import BadInput
from tina_lite.util.records import Problem

Message = Mapping[str, Any]


LAST_WORD = "Goodbye"


class Refused(BadInput):
    """The chat template takes no such conversation."""


class Tokenizer(Protocol):
    """What is wanted of a transformers tokenizer."""

    chat_template: Any

    def apply_chat_template(
        self, conversation: Any, *, tokenize: bool, add_generation_prompt: bool, **others: Any
    ) -> Any: ...

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]: ...


def messages_for(problem: Problem, system_prompt: str | None) -> list[Message]:
    """Put system prompt, earlier turns and question in order.

    A recipe's system prompt takes the place of the data's.
    """
    turns = [turn for turn in problem.turns if not (system_prompt and turn["role"] == "system")]
    system = [{"role": "system", "content": system_prompt}] if system_prompt else []
    return [*system, *turns, {"role": "user", "content": problem.question}]


def prompt_text(problem: Problem, tokenizer: Tokenizer, system_prompt: str | None) -> str:
    """Render the whole prompt, with the tools that the row offers. BadInput where the template does not take it."""
    return render(tokenizer, messages_for(problem, system_prompt), _tools_of(problem))


def _tools_of(problem: Problem) -> list[Any]:
    tools = problem.columns.get("tools")
    if isinstance(tools, str) and tools.lstrip().startswith("["):
        with suppress(ValueError):
            tools = json.loads(tools)
    return tools if isinstance(tools, list) and all(isinstance(tool, Mapping) for tool in tools) else []


def render(tokenizer: Tokenizer, messages: Sequence[Message], tools: Sequence[Any] = ()) -> str:
    """The text from which the model goes on: through the chat template, or one paragraph a part where there is none.

    Where the template opens `<think>`, so does this text, and a completion holds the closing tag alone. A template that
    knows no system role gets the system message at the head of the first user message.
    """
    with_tools = tools or any(message["role"] == "tool" or "tool_calls" in message for message in messages)
    if with_tools and "tool" not in str(tokenizer.chat_template):
        raise Refused("the tokenizer's chat template has no place for tools, which the prompt has")
    if tokenizer.chat_template is None:
        return "\n".join([*(message["content"] for message in messages), ""])
    try:
        return _templated(tokenizer, messages, tools)
    except Exception as error:  # the template's own complaint, such as that it knows no system role
        if [message["role"] for message in messages[:2]] == ["system", "user"]:
            with suppress(Exception):
                return _templated(tokenizer, without_system_role(messages), tools)
        raise Refused(f"the tokenizer's chat template refuses the prompt: {error}") from error


def template_notes(problems: Sequence[Problem], tokenizer: Tokenizer, system_prompt: str | None) -> list[str]:
    """What a person should know of how prompts are rendered: a system message that has no place of its own."""
    messages = messages_for(problems[0], system_prompt) if len(problems) else []
    if tokenizer.chat_template is None and messages:
        return ["the tokenizer has no chat template: prompts are plain text, a paragraph a message"]
    if tokenizer.chat_template is None or not messages or messages[0]["role"] != "system":
        return []
    try:
        _templated(tokenizer, messages)
    except Exception:
        return [
            "the chat template knows no system role: the system prompt stands at the head of the first user message"
        ]
    return []


def turn_end(tokenizer: Any) -> str | None:
    """The special token with which the chat template ends an assistant's turn; None where it has none."""
    turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": LAST_WORD}]
    if tokenizer.chat_template is None:
        return None
    with suppress(Exception):  # of a template that takes no such turns
        text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=False)
        ids = tokenizer.encode(text.rpartition(LAST_WORD)[2], add_special_tokens=False)
        special = {number: str(token) for number, token in tokenizer.added_tokens_decoder.items() if token.special}
        return next((special[number] for number in ids if number in special), None)
    return None


def without_system_role(messages: Sequence[Message]) -> list[Message]:
    """Move a system prompt into the first message of the user.

    >>> without_system_role([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "1+1?"}])
    [{'role': 'user', 'content': 'Be brief.\\n\\n1+1?'}]
    """
    system, first, *others = messages
    return [{"role": "user", "content": f"{system['content']}\n\n{first['content']}"}, *others]


def _templated(tokenizer: Tokenizer, messages: Sequence[Message], tools: Sequence[Any] = ()) -> str:
    offered = {"tools": list(tools)} if tools else {}
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, **offered))


def encode(tokenizer: Tokenizer, text: str) -> tuple[int, ...]:
    """Give token ids. A chat template writes its special tokens itself; without one the tokenizer adds its own.

    Some add an end-of-text token too, behind which a model has nothing to say: it is left out.
    """
    if tokenizer.chat_template is not None:
        return tuple(tokenizer.encode(text, add_special_tokens=False))
    ids = tokenizer.encode(text, add_special_tokens=True)
    end = getattr(tokenizer, "eos_token_id", None)
    return tuple(ids[:-1] if ids and ids[-1] == end else ids)
