"""How a row of data becomes a problem: which columns hold the question and the answer, and which rows are skipped."""

import re
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tina_lite.answers import comparable
from tina_lite.answers.verifier import verifier_of
from tina_lite.data.problem_set import question_key
from tina_lite.data.values import (
    ANSWERS,
    Options,
    Question,
    answers_of,
    ask,
    ends_open,
    find_options,
    is_empty,
    marks_answer,
    read_question,
    why_no_answer,
    why_no_question,
)
from tina_lite.recipe.schema import DataSection
from tina_lite.util.errors import BadInput, nearest
from tina_lite.util.records import Problem
from tina_lite.util.where import Where, look_up

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
WORKED = "solution"
"""The answer's column that is taken for want of another: its texts are more than an answer, and may mark none."""
PICTURE = re.compile(r"(decoded_)?(image|img|picture)s?(_(path|url|file|bytes)s?)?", re.IGNORECASE)
"""The name of a column that holds pictures, or where they are."""
PLACEHOLDER = re.compile(r"<image(_\d+|\d*)>|<\|image_pad\|>|<img>")
NOT_CHOSEN = "not chosen by where"
NONE_MARKED = f"{WORKED} marks no answer (box it, or write #### before it)"
REPEATED = "the same question and answer as an earlier row"

Row = Mapping[str, Any]
Progress = Callable[[float], None]
"""Told a share, from 0 to 1."""


class Selection:
    """Which rows of a source become problems, and from which columns: what the recipe says, and who asks."""

    def __init__(
        self,
        data: DataSection,
        *,
        or_usual: bool = False,
        gold_parses: Callable[[str], bool] = comparable,
        watch: Callable[[int, str], None] | None = None,
        once: bool = False,
        progress: Progress | None = None,
        is_benchmark: bool = False,
        golds_wanted: bool = True,
    ) -> None:
        """Choose among the rows of one source.

        Args:
            or_usual: the named columns were named for another source: where they are not there, the usual ones will do.
            gold_parses: rows without question or answer, or whose answer it refuses, are skipped and counted.
            watch: told the row and the question of every problem that is taken.
            once: a row that asks what an earlier one did, with the same answer, is skipped and counted.
            progress: told now and then how much of the source was read.
            golds_wanted: rows without an answer are skipped; else they are asked too.
            is_benchmark: of a source with splits the test split is meant, where none is named.
        """
        self.data = data
        self.where = Where(data.where) if data.where else None
        self.or_usual = or_usual
        self.gold_parses = gold_parses
        self.watch = watch
        self.once = once
        self.progress = progress
        self.golds_wanted = golds_wanted
        self.splits = (data.split,) if data.split else ("test", "train") if is_benchmark else ("train",)
        """Of a source that has several, the first that is there."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns that make a problem; of several, the first that holds something in a row."""

    questions: tuple[str, ...]
    answers: tuple[str, ...]
    as_named: bool = False
    """Whether the answer's column was named: whatever it holds is meant."""
    options: Options | None = None
    pictures: tuple[str, ...] = ()
    """Columns of what no language model reads."""

    def holds_none(self, name: str, value: object) -> bool:
        """Whether a value in a column that may hold answers is a worked solution that marks none."""
        return name == WORKED and not self.as_named and ends_open(value)


def find_columns(first_rows: Iterable[Row], source: str, selection: Selection) -> Columns:
    """The columns that were named, or else those that go by a usual name."""
    rows = list(first_rows)
    named = selection.data.answer
    options = find_options(rows, [named] if named else [*ANSWER_NAMES, *ANSWERS])
    chats = [name for row in rows for name, value in row.items() if read_question(value).is_chat]
    columns = Columns(
        _present(selection.data.prompt, [*QUESTION_NAMES, *chats], rows, source, "prompt", selection.or_usual),
        (options.answer,) if options else _answer_columns(rows, source, selection),
        as_named=selection.data.answer == WORKED,
        options=options,
        pictures=tuple(dict.fromkeys(name for row in rows for name in row if PICTURE.fullmatch(name))),
    )
    for name in selection.where.columns if selection.where else ():
        _present(name, (), rows, source, "where")
    return columns


def _answer_columns(rows: list[Row], source: str, selection: Selection) -> tuple[str, ...]:
    named = selection.data.answer
    try:
        return _present(named, ANSWER_NAMES, rows, source, "answer", selection.or_usual)
    except BadInput:
        if selection.golds_wanted or named:
            raise
        return ()


def _present(
    named: str | None, usual: Iterable[str], rows: list[Row], source: str, field: str, or_usual: bool = False
) -> tuple[str, ...]:
    """Of the names that may be meant, those that are there."""
    tried = list(dict.fromkeys([*([named] if named else []), *(usual if or_usual or not named else ())]))
    found = tuple(name for name in tried if any(look_up(row, name) is not None or name in row for row in rows))
    if found:
        return found
    columns = list(dict.fromkeys(name for row in rows for name in row))
    listed = f"columns: {', '.join(columns) or 'none'}"
    if named and not or_usual:
        raise BadInput(f"data.{field}: no column {named!r} in {source}{nearest(named, columns)} ({listed})")
    raise BadInput(f"{source}: no column {', '.join(tried)} ({listed}); name it with data.{field}")


def problem_of(row: Row, index: int, columns: Columns, gold_parses: Callable[[str], bool] = comparable) -> Problem:
    """All columns but the question's and "answer" stay with the problem, as rewards may ask for them by name.

    An "answer" that is a worked solution, as GSM8K's are, stays as "solution" where there is no other.
    """
    column, _, asked = _asked(row, columns)
    others = {name: value for name, value in row.items() if name not in (column, "answer")}
    first, *also = golds_of(row, columns, gold_parses) or ("",)
    whole = row.get("answer")
    if isinstance(whole, str) and marks_answer(whole):
        others.setdefault(WORKED, whole)
    return Problem(index, asked.text, first, others, asked.turns, tuple(also), verifier_of(row))


def _asked(row: Row, columns: Columns) -> tuple[str, object, Question]:
    """The first column that holds a question, with its value and what was read of it."""
    read = ((name, value := look_up(row, name), read_question(value)) for name in columns.questions)
    first = next(read)
    found = first if first[2].text else next((other for other in read if other[2].text), first)
    if columns.options is None or not found[2].text:
        return found
    name, value, question = found
    return name, value, question._replace(text=ask(question.text, columns.options.of(row)))


def golds_of(row: Row, columns: Columns, gold_parses: Callable[[str], bool]) -> tuple[str, ...]:
    """Of the first column that holds any, the golds that can be compared with; reasoning-gym's are verified."""
    if verifier_of(row) is not None:
        return (str(row.get("answer") or ""),)
    if columns.options is not None and columns.options.of(row):
        return columns.options.golds(row)
    for name in columns.answers:
        value = look_up(row, name)
        golds = () if columns.holds_none(name, value) else tuple(filter(gold_parses, answers_of(value)))
        if golds:
            return golds
    return ()


class Sieve:
    """Sorts rows into usable ones and ones that are skipped for a reason."""

    def __init__(self, columns: Columns, selection: Selection) -> None:
        self._columns = columns
        self._selection = selection
        self.skipped: dict[str, array[int]] = {}
        """Reason -> the rows."""
        self.cut_chats = 0
        """Chats that go on after the last question; what follows it is left out."""
        self._asked: set[int] = set()

    def key(self, index: int, row: Row) -> int | None:
        """The key of the row's question; None where the row is skipped."""
        _, value, asked = _asked(row, self._columns)
        reason = self._reason(row, value, asked)
        if reason is None:
            key = question_key(asked.text)
            reason = self._repeats(row, asked, key)
        if reason is not None:
            self.skipped.setdefault(reason, array("Q")).append(index)
            return None
        self.cut_chats += asked.goes_on
        if self._selection.watch is not None:
            self._selection.watch(index, asked.text)
        return key

    def _repeats(self, row: Row, asked: Question, key: int) -> str | None:
        if not self._selection.once:
            return None
        answers = [look_up(row, name) for name in self._columns.answers]
        whole = hash((key, repr(asked.turns), repr(answers)))
        if whole in self._asked:
            return REPEATED
        self._asked.add(whole)
        return None

    def notes(self) -> list[str]:
        """What was left out of rows that are used."""
        said = []
        if self.cut_chats:
            said.append(f"{self.cut_chats} chats go on after the last user message; what follows it is left out")
        if (options := self._columns.options) is not None:
            columns = ", ".join(options.columns)
            said.append(f"questions are asked with the options in {columns}; the letter of {options.answer} is right")
        return said

    def _reason(self, row: Row, value: object, asked: Question) -> str | None:
        if self._selection.where is not None and not self._selection.where(row):
            return NOT_CHOSEN
        if not asked.text or asked.not_text:
            return why_no_question(value, asked)
        if any(not is_empty(row.get(name)) for name in self._columns.pictures) or PLACEHOLDER.search(asked.text):
            return "a picture belongs to the question, which no text model sees"
        if not self._selection.golds_wanted or golds_of(row, self._columns, self._selection.gold_parses):
            return None
        if self._columns.options is not None and self._columns.options.of(row):
            return f"{self._columns.options.answer} names none of the options"
        held = {name: look_up(row, name) for name in self._columns.answers}
        answers = {name: value for name, value in held.items() if not self._columns.holds_none(name, value)}
        if any(map(answers_of, answers.values())):
            return "gold does not parse"
        if len(answers) < len(held):
            return NONE_MARKED
        name = next((name for name, answer in answers.items() if not is_empty(answer)), next(iter(answers)))
        return why_no_answer(answers[name], name)


def refuse_if_empty(usable: int, skipped: Mapping[str, Sequence[int]], source: str) -> None:
    if usable:
        return
    reasons = ", ".join(f"{reason}: {len(rows)}" for reason, rows in skipped.items())
    raise BadInput(f"{source}: no problem in it" + (f"; all rows were skipped ({reasons})" if reasons else ""))


def name_rows(rows: Sequence[int], most: int = 10) -> str:
    """Name a few rows, and say how many more there are.

    >>> name_rows([5]), name_rows(list(range(12)))
    ('row 5', 'rows 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more')
    """
    named = ", ".join(map(str, rows[:most]))
    more = f" and {len(rows) - most} more" if len(rows) > most else ""
    return f"row{'s' * (len(rows) > 1)} {named}{more}"
