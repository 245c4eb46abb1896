"""Multiple choice: options that stand in columns of their own are asked, and the letter of the right one is the gold.

As in MMLU ({choices: [...], answer: 2}), ARC ({choices: {text: [...], label: [...]}, answerKey: B}), AQuA ({options:
["A)5", ...], correct: B}), or tables with a column for each option (A, B, C, D, or option_a, ...).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any, Literal

from tina_lite.problems.values import answers_of, is_empty
from tina_lite.where import look_up

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
    """The columns of options among the first rows, and the one of `answers` that names the right one.

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
