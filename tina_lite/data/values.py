"""What a value of the data says: the question in a text or a chat, the golds in an answer of whatever type.

A value that is there is read, or the reason names what it is: nothing that is there is called missing.
"""

import datetime
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from string import ascii_uppercase
from typing import Any, Literal, NamedTuple

from tina_lite.answers import boxed_answer, final_answer
from tina_lite.util.where import look_up

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
    """Read a text, or the last user message of a chat: {role, content} or ShareGPT's {from, value}, or either as JSON.

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
    """Say why a value is no answer; empty where it is one.

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
    """Give what a table holds as JSON would.

    Numbers of numpy become Python's; dates, times and bytes text; a list that is kept as JSON text a list.
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
    """Say whether a value holds nothing that could be asked or compared.

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


LISTS = ("choices", "options")
EACH = tuple(tuple(f"{name}{letter}" for letter in "abcdefghij") for name in ("option_", "option", "op"))
LETTERS = tuple("ABCDEFGHIJ")
ANSWERS = ("answerKey", "answer_key", "correct", "correct_option", "answer_idx", "answer_index", "label", "cop")
"""Columns that name the right option, beside those of any other answer."""
MARKED = re.compile(r"\s*\(?([A-J])[).:]\s*(.*)", re.DOTALL)
"""An option that begins with its letter."""
MOST_STRAY = 0.1
"""Share of the first rows whose answer is none of their options: with more, the answer is something else."""

How = Literal["label", "text", "from 0", "from 1"]
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Option:
    label: str
    text: str


@dataclass(frozen=True, slots=True)
class Options:
    """Where the options of a row are, and how its answer names the right one."""

    columns: tuple[str, ...]
    """One with a list, or one for each."""
    answer: str
    how: How

    def of(self, row: Row) -> list[Option]:
        """Empty where a row has none."""
        return _options(row, self.columns)

    def golds(self, row: Row) -> tuple[str, ...]:
        """The letter of the right option and its text, either of which is right; empty where none is named."""
        options = self.of(row)
        at = _place(look_up(row, self.answer), options, self.how)
        return () if at is None else (ascii_uppercase[at], options[at].text)


def ask(question: str, options: Sequence[Option]) -> str:
    """The question with its options, unless it has them already."""
    if all(one.text in question for one in options):
        return question
    return "\n".join([question, "", *(f"{ascii_uppercase[at]}) {one.text}" for at, one in enumerate(options))])


def find_options(rows: Sequence[Row], answers: Iterable[str]) -> Options | None:
    """Find the columns of options among the first rows, and the one of `answers` that names the right one.

    None where questions have none, or their answers are something else.
    """
    several = (tuple(name for name in names if any(name in row for row in rows)) for names in (*EACH, LETTERS))
    for columns in (*((name,) for name in LISTS), *several):
        asked = [row for row in rows if _options(row, columns)]
        for answer in answers if asked else ():
            answered = [row for row in asked if not is_empty(look_up(row, answer))]
            how = _how([(look_up(row, answer), _options(row, columns)) for row in answered])
            if answered and how is not None:
                return Options(columns, answer, how)
    return None


def _how(pairs: Sequence[tuple[Any, Sequence[Option]]]) -> How | None:
    ways: tuple[How, ...] = ("label", "text", "from 0", "from 1")
    if all(isinstance(value, int) for value, _ in pairs):  # the number of a class, and no text that is a number too
        ways = ("from 0", "from 1")
    found = {how: sum(_place(value, options, how) is None for value, options in pairs) for how in ways}
    best = min(ways, key=lambda how: found[how])
    return best if found[best] <= MOST_STRAY * len(pairs) else None


def _place(value: Any, options: Sequence[Option], how: How) -> int | None:
    said = next(iter(answers_of(value)), "")
    if how == "label":
        return next((at for at, one in enumerate(options) if said.strip("(). ") == one.label), None)
    if how == "text":
        return next((at for at, one in enumerate(options) if said == one.text), None)
    at = int(said) - int(how[-1]) if said.isdecimal() else -1
    return at if 0 <= at < len(options) else None


def _options(row: Row, columns: Sequence[str]) -> list[Option]:
    if len(columns) == 1:
        return _listed(look_up(row, columns[0]))
    texts = [_text(row.get(name)) for name in columns]
    return [Option(ascii_uppercase[at], text) for at, text in enumerate(texts) if text] if len(columns) > 1 else []


def _listed(value: Any) -> list[Option]:
    """Of one value: a list of texts, or one beside a list of labels."""
    texts, labels = value, None
    if isinstance(value, Mapping):
        texts, labels = value.get("text"), value.get("label")
    if not isinstance(texts, list) or not 1 < len(texts) <= len(ascii_uppercase):
        return []
    said = [_text(one) for one in texts]
    marks = [MARKED.fullmatch(one) for one in said]
    if all(mark and mark[1] == letter for mark, letter in zip(marks, ascii_uppercase, strict=False)):
        said = [mark[2] for mark in marks if mark]
    if not isinstance(labels, list) or len(labels) != len(said):
        labels = list(ascii_uppercase[: len(said)])
    return [Option(str(label), text) for label, text in zip(labels, said, strict=True)] if all(said) else []


def _text(value: Any) -> str:
    return next(iter(answers_of(value)), "") if isinstance(value, int | float) else str(value or "").strip()
