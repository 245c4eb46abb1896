"""How a row of data becomes a problem: which columns hold the question and the answer, and what is taken from them."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tina_lite.answers import final_answer
from tina_lite.errors import BadInput, nearest
from tina_lite.records import Problem

QUESTION_NAMES = ("prompt", "problem", "question")
ANSWER_NAMES = ("answer", "solution", "final_answer", "ground_truth", "reward_model.ground_truth")
"""In order of preference; a dot leads into an object, as in verl's files."""

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Columns:
    """The names of the two columns that make a problem."""

    question: str
    answer: str


def find_columns(first_rows: Iterable[Row], source: str, prompt: str | None, answer: str | None) -> Columns:
    """The columns that were named, or else those that go by a usual name."""
    rows = list(first_rows)
    chats = [name for row in rows for name, value in row.items() if _is_chat(value)]
    question_names = [prompt] if prompt else [*QUESTION_NAMES, *chats]
    return Columns(
        _first_present(question_names, rows, source, "prompt", named=prompt is not None),
        _first_present([answer] if answer else ANSWER_NAMES, rows, source, "answer", named=answer is not None),
    )


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


def look_up(row: Row, name: str) -> Any:
    """The value of a column, or of a field inside an object.

    >>> look_up({"reward_model": {"ground_truth": "4"}}, "reward_model.ground_truth"), look_up({"a": 1}, "b")
    ('4', None)
    """
    if name in row or "." not in name:
        return row.get(name)
    outer, _, inner = name.partition(".")
    value = row.get(outer)
    return look_up(value, inner) if isinstance(value, Mapping) else None


def _is_chat(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, Mapping) and "role" in one for one in value)


def question_of(value: object) -> str:
    """A text, or the last user message of a chat; empty where there is neither.

    >>> question_of([{"role": "system", "content": "Be brief."}, {"role": "user", "content": " 1+1? "}])
    '1+1?'
    """
    if isinstance(value, list) and _is_chat(value):
        asked = [message.get("content") for message in value if message["role"] == "user"]
        value = asked[-1] if asked else None
    return clean(value) if isinstance(value, str) else ""


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
    question, answer = question_of(look_up(row, columns.question)), answer_of(look_up(row, columns.answer))
    return Problem(index, question, answer, others)


class Sieve:
    """Sorts rows into usable ones and ones that are skipped for a reason."""

    def __init__(self, columns: Columns, gold_parses: Callable[[str], bool]) -> None:
        self._columns = columns
        self._gold_parses = gold_parses
        self.skipped: Counter[str] = Counter()

    def question(self, row: Row) -> str | None:
        """The row's question; None where the row is skipped."""
        question = question_of(look_up(row, self._columns.question))
        answer = answer_of(look_up(row, self._columns.answer))
        reason = "no question" if not question else "no answer" if not answer else None
        if reason is None and not self._gold_parses(answer):
            reason = "gold does not parse"
        if reason is not None:
            self.skipped[reason] += 1
        return question if reason is None else None


def refuse_if_empty(usable: int, skipped: Mapping[str, int], source: str) -> None:
    if usable:
        return
    reasons = ", ".join(f"{reason}: {count}" for reason, count in skipped.items())
    raise BadInput(f"{source}: no problem in it" + (f"; all rows were skipped ({reasons})" if reasons else ""))
