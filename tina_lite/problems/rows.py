"""How a row of data becomes a problem: which columns hold the question and the answer, and what is taken from them."""

from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tina_lite.answers import comparable, final_answer
from tina_lite.errors import BadInput, nearest
from tina_lite.records import Problem
from tina_lite.where import Where, look_up

QUESTION_NAMES = ("prompt", "problem", "question")
ANSWER_NAMES = (
    "answer",
    "solution",
    "final_answer",
    "ground_truth",
    "reward_model.ground_truth",
    "verification_info.answer.value",
)
"""In order of preference; a dot leads into an object, as in verl's files, or into JSON text, as in II-Thought's."""
ROLES = {"human": "user", "gpt": "assistant"}
"""ShareGPT's names for them."""
NOT_CHOSEN = "not chosen by where"

Row = Mapping[str, Any]
Message = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows of a source become problems, and from which columns."""

    prompt: str | None = None
    """Column of the question; found by its usual names where not given."""
    answer: str | None = None
    where: Where | None = None
    limit: int | None = None
    """The first usable rows."""
    gold_parses: Callable[[str], bool] = comparable
    watch: Callable[[int, str], None] | None = None
    """Told the row and the question of every problem that is taken."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The names of the two columns that make a problem."""

    question: str
    answer: str


def find_columns(first_rows: Iterable[Row], source: str, selection: Selection) -> Columns:
    """The columns that were named, or else those that go by a usual name."""
    rows = list(first_rows)
    chats = [name for row in rows for name, value in row.items() if messages_of(value)]
    prompt, answer = selection.prompt, selection.answer
    columns = Columns(
        _first_present([prompt] if prompt else [*QUESTION_NAMES, *chats], rows, source, "prompt", bool(prompt)),
        _first_present([answer] if answer else ANSWER_NAMES, rows, source, "answer", bool(answer)),
    )
    for name in selection.where.columns if selection.where else ():
        _first_present([name], rows, source, "where", named=True)
    return columns


def _first_present(names: Iterable[str], rows: list[Row], source: str, field: str, named: bool) -> str:
    tried = list(dict.fromkeys(names))
    for name in tried:
        if any(look_up(row, name) is not None or name in row for row in rows):
            return name
    columns = list(dict.fromkeys(name for row in rows for name in row))
    if named:
        hint = nearest(tried[0], columns)
        raise BadInput(f"data.{field}: no column {tried[0]!r} in {source}{hint} ({_listed(columns)})")
    raise BadInput(f"{source}: no column {', '.join(tried)} ({_listed(columns)}); name it with data.{field}")


def _listed(columns: list[str]) -> str:
    return f"columns: {', '.join(columns) or 'none'}"


def messages_of(value: object) -> list[Message]:
    """The messages of a chat, {role, content} or ShareGPT's {from, value}; empty where the value is no chat.

    >>> messages_of([{"from": "human", "value": " 1+1? "}]), messages_of("1+1?"), messages_of([{"a": 1}])
    ([{'role': 'user', 'content': '1+1?'}], [], [])
    """
    if not isinstance(value, list):
        return []
    messages: list[Message] = []
    for message in value:
        if not isinstance(message, Mapping):
            return []
        role, content = message.get("role", message.get("from")), message.get("content", message.get("value"))
        if not isinstance(role, str):
            return []
        messages.append({"role": ROLES.get(role, role), "content": clean(content) if isinstance(content, str) else ""})
    return messages


def question_of(value: object) -> str:
    """A text, or the last user message of a chat; empty where there is neither.

    >>> question_of([{"role": "system", "content": "Be brief."}, {"role": "user", "content": " 1+1? "}])
    '1+1?'
    """
    if isinstance(value, str):
        return clean(value)
    return next((message["content"] for message in reversed(messages_of(value)) if message["role"] == "user"), "")


def turns_before(value: object) -> tuple[Message, ...]:
    """What a chat holds before its last user message, a system message included; empty for a text."""
    messages = messages_of(value)
    asked = [place for place, message in enumerate(messages) if message["role"] == "user"]
    return tuple(messages[: asked[-1]]) if asked else ()


def answer_of(value: object) -> str:
    r"""The gold as text; empty where there is none. Numbers are written without a needless fraction.

    >>> answer_of("24 + 48 = 72\n#### 72"), answer_of(27.0), answer_of(["5"]), answer_of(None), answer_of(True)
    ('72', '27', '5', '', '')
    """
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return final_answer(clean(str(value)))


def clean(text: str) -> str:
    """Without outer white space, and without lone surrogates, which no tokenizer takes."""
    return (text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")).strip()


def problem_of(row: Row, index: int, columns: Columns) -> Problem:
    """All columns but the question's and "answer" stay with the problem, as rewards may ask for them by name."""
    others = {name: value for name, value in row.items() if name not in (columns.question, "answer")}
    asked, answer = look_up(row, columns.question), answer_of(look_up(row, columns.answer))
    return Problem(index, question_of(asked), answer, others, turns_before(asked))


class Sieve:
    """Sorts rows into usable ones and ones that are skipped for a reason."""

    def __init__(self, columns: Columns, selection: Selection) -> None:
        self._columns = columns
        self._selection = selection
        self.skipped: dict[str, array[int]] = {}
        """Reason -> the rows."""

    def question(self, index: int, row: Row) -> str | None:
        """The row's question; None where the row is skipped."""
        question = question_of(look_up(row, self._columns.question))
        reason = self._reason(row, question)
        if reason is not None:
            self.skipped.setdefault(reason, array("Q")).append(index)
            return None
        if self._selection.watch is not None:
            self._selection.watch(index, question)
        return question

    def _reason(self, row: Row, question: str) -> str | None:
        if self._selection.where is not None and not self._selection.where(row):
            return NOT_CHOSEN
        if not question:
            return "no question"
        answer = answer_of(look_up(row, self._columns.answer))
        if not answer:
            return "no answer"
        return None if self._selection.gold_parses(answer) else "gold does not parse"


def refuse_if_empty(usable: int, skipped: Mapping[str, Sequence[int]], source: str) -> None:
    if usable:
        return
    reasons = ", ".join(f"{reason}: {len(rows)}" for reason, rows in skipped.items())
    raise BadInput(f"{source}: no problem in it" + (f"; all rows were skipped ({reasons})" if reasons else ""))


def name_rows(rows: Sequence[int], most: int = 10) -> str:
    """
    >>> name_rows([5]), name_rows(list(range(12)))
    ('row 5', 'rows 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more')
    """
    named = ", ".join(map(str, rows[:most]))
    more = f" and {len(rows) - most} more" if len(rows) > most else ""
    return f"row{'s' * (len(rows) > 1)} {named}{more}"
