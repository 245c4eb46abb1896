"""What a value of the data says: the question in a text or a chat, the golds in an answer of whatever type.

A value that is there is read, or the reason names what it is: nothing that is there is called missing.
"""

import datetime
import json
import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from tina_lite.answers import boxed_answer, final_answer

ROLES = {"human": "user", "gpt": "assistant"}
"""ShareGPT's names for them."""
MATH = re.compile(r"\$[^$]*\$|\\\(.*?\\\)|\\\[.*?\\\]|\\[A-Za-z]+", re.DOTALL)
WORD = re.compile(r"[^\W\d_]{2,}")
PROSE = 5
"""Words outside of formulas that make a text more than an answer."""
TRUTH = {True: ("True", "Yes"), False: ("False", "No")}
"""Truth has no spelling of its own: either is right."""
NOTHING = {"", "NA", "N/A", "n/a", "#N/A", "#NA", "<NA>", "NULL", "null", "None"}
"""How tables write that a cell is empty (pandas reads these so). Na, which is sodium, is none of them."""

TOOL_FIELDS = ("tool_calls", "tool_call_id")
"""Of a message, beside role and content."""

Message = Mapping[str, Any]


def clean(text: str) -> str:
    """Without outer white space, and without lone surrogates, which no tokenizer takes."""
    return (text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")).strip()


class Question(NamedTuple):
    """What is asked, as a value of the data says it."""

    text: str = ""
    """Empty where there is none."""
    turns: tuple[Message, ...] = ()
    """What a chat holds before its last user message, a system message included."""
    is_chat: bool = False
    goes_on: bool = False
    """Whether a chat has turns after its last user message."""
    not_text: str = ""
    """The type of a part that no language model reads, such as image_url; empty where all is text."""


def read_question(value: object) -> Question:
    """A text, or the last user message of a chat: {role, content} or ShareGPT's {from, value}, also as JSON text.

    >>> chat = [{"from": "system", "value": "Be brief."}, {"from": "human", "value": " 1+1? "}]
    >>> read_question(chat).text, read_question(chat).turns
    ('1+1?', ({'role': 'system', 'content': 'Be brief.'},))
    >>> read_question('[{"role": "user", "content": [{"type": "text", "text": "1+1?"}]}]').text
    '1+1?'
    >>> read_question(" 1+1? ").text, read_question([{"a": 1}]).is_chat, read_question(None)
    ('1+1?', False, Question(text='', turns=(), is_chat=False, goes_on=False, not_text=''))
    """
    value = _decoded(value)
    given = _chat(value)
    if not given:
        return Question(clean(value) if isinstance(value, str) else "")
    chat = [(message.get("role", message.get("from")), _content_of(message)) for message in given]
    not_text = _not_text([content for _, content in chat])
    if not all(isinstance(role, str) for role, _ in chat):
        return Question(clean(value) if isinstance(value, str) else "", not_text=not_text)
    messages = [
        {"role": ROLES.get(role, role), "content": clean(_text_of(content)), **_tool_fields(message)}
        for message, (role, content) in zip(given, chat, strict=True)
    ]
    asked = max((place for place, message in enumerate(messages) if message["role"] == "user"), default=None)
    return Question(
        "" if asked is None else messages[asked]["content"],
        tuple(messages[:asked]) if asked else (),
        is_chat=True,
        goes_on=asked != len(messages) - 1,
        not_text=not_text,
    )


def _chat(value: object) -> list[Mapping[str, Any]]:
    """The messages as they stand in the data; empty where it is no chat."""
    value = _from_json(value, "[", "{")
    chat = [value] if isinstance(value, Mapping) and "content" in value else value
    if isinstance(chat, list) and all(isinstance(message, Mapping) for message in chat):
        return chat
    return []


def _tool_fields(message: Mapping[str, Any]) -> dict[str, Any]:
    return {name: message[name] for name in TOOL_FIELDS if message.get(name)}


def _content_of(message: Mapping[str, Any]) -> Any:
    return message.get("content", message.get("value"))


def _text_of(content: object) -> str:
    """Of a message's content: a text, or the texts among its parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, Mapping):
        return _text_of(content.get("text"))
    return "\n".join(filter(None, map(_text_of, content))) if isinstance(content, list) else ""


def _not_text(contents: list[object]) -> str:
    parts = [part for content in contents if isinstance(content, list) for part in content if isinstance(part, Mapping)]
    return next((str(part.get("type", "object")) for part in parts if not isinstance(part.get("text"), str)), "")


def why_no_question(value: object, question: Question) -> str:
    """Of a value and what was read of it.

    >>> values = (None, 5, [{"role": "system", "content": "Be brief."}])
    >>> [why_no_question(value, read_question(value)) for value in values]
    ['no question', 'question is a number', 'question is a chat without a user message']
    """
    if question.not_text:
        return f"question holds {question.not_text}, which is no text"
    if question.is_chat:
        return "question is a chat without a user message"
    return "no question" if is_empty(value) else f"question is {_kind(value)}"


def answers_of(value: object) -> tuple[str, ...]:
    r"""The golds as text, any of which is right; empty where there is none. Numbers are written as people write them.

    >>> answers_of("24 + 48 = 72\n#### 72"), answers_of(27.0), answers_of(2e-05), answers_of(1e22)
    (('72',), ('27',), ('0.00002',), ('10000000000000000000000',))
    >>> answers_of(["5", 5.5]), answers_of(True), answers_of(None), answers_of(float("nan"))
    (('5', '5.5'), ('True', 'Yes'), (), ())
    >>> answers_of(datetime.date(2024, 5, 1)), answers_of(datetime.time(9, 30)), answers_of(b"5"), answers_of("N/A")
    (('2024-05-01',), ('09:30',), ('5',), ())
    """
    value = _plain(value)
    if isinstance(value, list):
        return tuple(dict.fromkeys(text for item in value for text in answers_of(item)))
    if isinstance(value, bool):
        return TRUTH[value]
    if isinstance(value, int | float | Decimal):
        return (_digits(value),) if math.isfinite(value) else ()
    text = clean(value) if isinstance(value, str) else ""
    return () if text in NOTHING or text.casefold() == "nan" else (final_answer(text),)


def marks_answer(text: str) -> bool:
    """Whether a text says which of it is the answer, as worked solutions do: in a box, or after ####."""
    return "####" in text or boxed_answer(text) is not None


def ends_open(solution: object) -> bool:
    r"""Whether a worked solution says nowhere which of it is the answer: no box, no ####, and more than an answer.

    >>> ends_open("We add them and get 5 apples."), ends_open(r"We add them and get \boxed{5}."), ends_open("$x = 5$")
    (True, False, False)
    """
    if not isinstance(solution, str) or marks_answer(solution):
        return False
    return len(WORD.findall(MATH.sub(" ", solution))) >= PROSE


def why_no_answer(value: object, column: str = "answer") -> str:
    """
    >>> why_no_answer(""), why_no_answer("N/A"), why_no_answer(float("inf"))
    ('no answer', 'no answer', 'answer is not finite')
    >>> why_no_answer({"value": 5, "unit": "m"}, "gold")
    'answer is an object (name one of its fields with data.answer: gold.value or gold.unit)'
    """
    value = _plain(value)
    if isinstance(value, Mapping) and value:
        fields = " or ".join(f"{column}.{field}" for field in value)
        return f"answer is an object (name one of its fields with data.answer: {fields})"
    if isinstance(value, list) and value:
        return why_no_answer(value[0], column)
    if isinstance(value, float | Decimal) or (isinstance(value, str) and not is_empty(value)):
        return "answer is not finite"
    return "no answer" if is_empty(value) else f"answer is {_kind(value)}"


def _plain(value: Any) -> Any:
    """What a table holds as JSON would: numbers of numpy as Python's, dates, times and bytes as text, a list of texts
    that is kept as JSON text as a list.
    """
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        return str(value.date())
    if isinstance(value, datetime.date | datetime.time | datetime.timedelta):
        return str(value).removesuffix(":00")  # seconds, which nobody writes where there are none
    value = _decoded(value)
    if isinstance(value, str):
        listed = _from_json(value, "[")
        return listed if isinstance(listed, list) and all(isinstance(one, str) for one in listed) else value
    return value.item() if hasattr(value, "item") and getattr(value, "size", 1) == 1 else value


def _decoded(value: object) -> object:
    """The text that bytes are; any other value as it stands."""
    try:
        return value.decode() if isinstance(value, bytes) else value
    except UnicodeDecodeError:
        return value


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


def is_empty(value: object) -> bool:
    """
    >>> is_empty(None), is_empty(" "), is_empty([]), is_empty(0)
    (True, True, True, False)
    """
    text = value.strip() if isinstance(value, str) else value
    return text is None or text == [] or (isinstance(text, str) and text in NOTHING)


def _kind(value: object) -> str:
    names: dict[type, str] = {
        bool: "true or false",
        int: "a number",
        float: "a number",
        list: "a list",
        dict: "an object",
    }
    return names.get(type(value), f"of type {type(value).__name__}")
