"""What a value of the data says: the question in a text or a chat, the golds in an answer of whatever type.

A value that is there is read, or the reason names what it is: nothing that is there is called missing.
"""

import json
import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from tina_lite.answers import final_answer

ROLES = {"human": "user", "gpt": "assistant"}
"""ShareGPT's names for them."""
TRUTH = {True: ("True", "Yes"), False: ("False", "No")}
"""Truth has no spelling of its own: either is right."""

Message = Mapping[str, str]


def clean(text: str) -> str:
    """Without outer white space, and without lone surrogates, which no tokenizer takes."""
    return (text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")).strip()


def messages_of(value: object) -> list[Message]:
    """The messages of a chat, {role, content} or ShareGPT's {from, value}, also as JSON text; empty where it is none.

    >>> messages_of([{"from": "human", "value": " 1+1? "}]), messages_of("1+1?"), messages_of([{"a": 1}])
    ([{'role': 'user', 'content': '1+1?'}], [], [])
    >>> messages_of('[{"role": "user", "content": [{"type": "text", "text": "1+1?"}]}]')
    [{'role': 'user', 'content': '1+1?'}]
    """
    messages: list[Message] = []
    for message in _chat(value):
        role, content = message.get("role", message.get("from")), message.get("content", message.get("value"))
        if not isinstance(role, str):
            return []
        messages.append({"role": ROLES.get(role, role), "content": clean(_text_of(content))})
    return messages


def _chat(value: object) -> list[Mapping[str, Any]]:
    """The messages as they stand in the data."""
    value = _from_json(value, "[", "{")
    chat = [value] if isinstance(value, Mapping) and "content" in value else value
    if isinstance(chat, list) and all(isinstance(message, Mapping) for message in chat):
        return chat
    return []


def _text_of(content: object) -> str:
    """Of a message's content: a text, or the texts among its parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, Mapping):
        return _text_of(content.get("text"))
    return "\n".join(filter(None, map(_text_of, content))) if isinstance(content, list) else ""


def not_text(value: object) -> str:
    """The type of a part that no language model reads, such as image_url; empty where all is text."""
    contents = [message.get("content", message.get("value")) for message in _chat(value)]
    parts = [part for content in contents if isinstance(content, list) for part in content if isinstance(part, Mapping)]
    return next((str(part.get("type", "object")) for part in parts if not isinstance(part.get("text"), str)), "")


def question_of(value: object) -> str:
    """A text, or the last user message of a chat; empty where there is neither.

    >>> question_of([{"role": "system", "content": "Be brief."}, {"role": "user", "content": " 1+1? "}])
    '1+1?'
    """
    messages = messages_of(value)
    if messages:
        return next((message["content"] for message in reversed(messages) if message["role"] == "user"), "")
    return clean(value) if isinstance(value, str) else ""


def turns_before(value: object) -> tuple[Message, ...]:
    """What a chat holds before its last user message, a system message included; empty for a text."""
    messages = messages_of(value)
    asked = [place for place, message in enumerate(messages) if message["role"] == "user"]
    return tuple(messages[: asked[-1]]) if asked else ()


def goes_on(value: object) -> bool:
    """Whether a chat has turns after its last user message."""
    messages = messages_of(value)
    return bool(messages) and messages[-1]["role"] != "user"


def why_no_question(value: object) -> str:
    """
    >>> why_no_question(None), why_no_question(5), why_no_question([{"role": "system", "content": "Be brief."}])
    ('no question', 'question is a number', 'question is a chat without a user message')
    """
    if part := not_text(value):
        return f"question holds {part}, which is no text"
    if messages_of(value):
        return "question is a chat without a user message"
    return "no question" if _is_empty(value) else f"question is {_kind(value)}"


def answers_of(value: object) -> tuple[str, ...]:
    r"""The golds as text, any of which is right; empty where there is none. Numbers are written as people write them.

    >>> answers_of("24 + 48 = 72\n#### 72"), answers_of(27.0), answers_of(2e-05), answers_of(1e22)
    (('72',), ('27',), ('0.00002',), ('10000000000000000000000',))
    >>> answers_of(["5", 5.5]), answers_of(True), answers_of(None), answers_of(float("nan"))
    (('5', '5.5'), ('True', 'Yes'), (), ())
    """
    value = _plain(value)
    if isinstance(value, list):
        return tuple(dict.fromkeys(text for item in value for text in answers_of(item)))
    if isinstance(value, bool):
        return TRUTH[value]
    if isinstance(value, int | float | Decimal):
        return (_digits(value),) if math.isfinite(value) else ()
    text = clean(value) if isinstance(value, str) else ""
    return (final_answer(text),) if text and text.casefold() != "nan" else ()


def why_no_answer(value: object) -> str:
    """
    >>> why_no_answer(""), why_no_answer(float("inf")), why_no_answer({"value": 5})
    ('no answer', 'answer is not finite', 'answer is an object (name one of its fields with data.answer: value)')
    """
    value = _plain(value)
    if isinstance(value, Mapping):
        return f"answer is an object (name one of its fields with data.answer: {', '.join(map(str, value))})"
    if isinstance(value, list) and value:
        return why_no_answer(value[0])
    if isinstance(value, float | Decimal) or (isinstance(value, str) and value.strip()):
        return "answer is not finite"
    return "no answer" if _is_empty(value) else f"answer is {_kind(value)}"


def _plain(value: Any) -> Any:
    """Numbers of numpy as Python's, and a list of texts that a table keeps as JSON text as a list."""
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, str):
        listed = _from_json(value, "[")
        return listed if isinstance(listed, list) and all(isinstance(one, str) for one in listed) else value
    return value.item() if hasattr(value, "item") and getattr(value, "size", 1) == 1 else value


def _digits(number: int | float | Decimal) -> str:
    """Without exponent, and without a needless fraction."""
    text = format(Decimal(repr(number) if isinstance(number, float) else number), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _from_json(value: object, *openings: str) -> object:
    """What a text that opens so holds as JSON; any other value as it stands."""
    if not isinstance(value, str) or not value.lstrip().startswith(openings):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _is_empty(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip()) or value == []


def _kind(value: object) -> str:
    names: dict[type, str] = {
        bool: "true or false",
        int: "a number",
        float: "a number",
        list: "a list",
        dict: "an object",
    }
    return names.get(type(value), f"of type {type(value).__name__}")
