"""Rewards for the rows of a file: what `tina-lite score` does, without a model or a run.

A row is a JSON object with `completion`, and `answer`, `prompt`, `group`, `completion_ids` or `completion_tokens` where
a reward needs them; its other fields are columns, as in data. Texts may be chat messages. Rows with the same `group`,
or else with the same prompt, are a group. A run's samples.jsonl is such a file.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tina_lite.answers.explaining import Explanation, explain
from tina_lite.answers.verifier import Verifier, verifier_of
from tina_lite.data.examples import QUESTION_NAMES
from tina_lite.data.values import answers_of, read_question
from tina_lite.rewards import StepScores, TrainerState, WeightedReward, score_rows
from tina_lite.rewards.accuracy import decided
from tina_lite.rewards.call import chat
from tina_lite.util.errors import BadInput
from tina_lite.util.where import look_up

ROWS_AT_ONCE = 256
"""Where no reward compares the completions of a group, a file of any size takes the memory of so many rows."""
FAULTS_SHOWN = 5
EXAMPLE = '{"completion": "So it is 2.", "answer": "2"}'
GIVEN = ("completions", "completion", "prompts", "prompt", "completion_ids", "group", "group_ids")
"""What rewards are handed whatever fields a row has."""
OWN_FIELDS = ("completion", "completions", "answer", "prompt", "prompts", "group", "group_ids", "completion_ids")
"""Fields that are no columns of their own."""
WORDS_AND_MARKS = re.compile(r"\w+|[^\w\s]")

NOTHING: Mapping[str, str] = MappingProxyType({})
Encode = Callable[[str], Sequence[int]]
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ScoredRow:
    """One row with what it is worth."""

    index: int
    """Position in the file, from 0; blank lines do not count."""
    completion: str
    rewards: Mapping[str, float | None]
    """By name, before weighting; None: no opinion."""
    total: float
    """The weighted sum."""
    gold: str | list[str]
    """What the completion is compared with; empty where the row has no answer."""
    verifier: Verifier | None = None
    """What judges it instead, where there is one."""


def words_and_marks(text: str) -> list[int]:
    """Stand-ins for token ids where there is no tokenizer: one for each word or mark.

    >>> len(words_and_marks("So, 1+1=2."))
    8
    """
    return [0] * len(WORDS_AND_MARKS.findall(text))


def score_file(
    path: Path, rewards: Sequence[WeightedReward], encode: Encode, columns: Mapping[str, str] = NOTHING
) -> Iterator[tuple[list[ScoredRow], StepScores]]:
    """Some rows at a time in the file's order, and what went wrong on them; `encode` makes token ids of a completion.

    `columns`: under which name the file has completion, answer or prompt, where it is another; a.b is field b of a.
    Every row is checked before the first is scored: BadInput has a line for each that cannot be used.
    """
    _check(path, rewards, columns)
    rows = (_parsed(line, columns) for _, line in _lines(path))
    at_once = None if any(one.reward.compares for one in rewards) else ROWS_AT_ONCE
    for first in count(0, at_once or 1):
        some = list(islice(rows, at_once))
        if not some:
            return
        yield _score(some, first, rewards, encode)


def explanations(rows: Sequence[ScoredRow]) -> list[Explanation | None]:
    """For each row why the accuracy reward takes its answer for right or wrong; None where there is no gold."""
    golds_of = [row.gold if isinstance(row.gold, list) else [row.gold] for row in rows]
    pairs = [(row, gold) for row, golds in zip(rows, golds_of, strict=True) for gold in golds]
    texts, verifiers = [row.completion for row, _ in pairs], [row.verifier for row, _ in pairs]
    rights = iter(decided(texts, [gold for _, gold in pairs], verifiers))
    return [_explained(row, golds, [next(rights) for _ in golds]) for row, golds in zip(rows, golds_of, strict=True)]


def _explained(row: ScoredRow, golds: Sequence[str], rights: Sequence[bool | None]) -> Explanation | None:
    """Of several golds the first that fits, else the first."""
    if row.verifier is None and not any(golds):
        return None
    place = rights.index(True) if True in rights else 0
    return explain(row.completion, golds[place], rights[place], row.verifier)


def _score(
    rows: Sequence[Row], first: int, rewards: Sequence[WeightedReward], encode: Encode
) -> tuple[list[ScoredRow], StepScores]:
    groups = _group_numbers(rows)
    order = sorted(range(len(rows)), key=groups.__getitem__)
    columns = _columns([rows[row] for row in order], [groups[row] for row in order], encode)
    scores = score_rows(columns, rewards, [slice(0, len(rows))])
    (values,) = scores.groups
    scored = [
        ScoredRow(
            first + row,
            columns["completions"][place][0]["content"],
            {name: of_all[place] for name, of_all in values.rewards.items()},
            values.totals[place],
            columns["answer"][place],
            columns["verifier"][place],
        )
        for place, row in enumerate(order)
    ]
    return sorted(scored, key=lambda row: row.index), scores


def _columns(rows: Sequence[Row], group_ids: Sequence[int], encode: Encode) -> dict[str, list[Any]]:
    names = dict.fromkeys(name for row in rows for name in row if name not in OWN_FIELDS)
    texts = [_text(row["completion"]) or "" for row in rows]
    return {
        **{name: [row.get(name) for row in rows] for name in names},
        "prompts": chat(*map(_prompt, rows), role="user"),
        "completions": chat(*texts),
        "completion_ids": [_ids(row, text, encode) for row, text in zip(rows, texts, strict=True)],
        "answer": [_gold(row) for row in rows],
        "verifier": [verifier_of(row) for row in rows],
        "group_ids": list(group_ids),
        "trainer_state": [TrainerState()] * len(rows),
    }


def _ids(row: Row, text: str, encode: Encode) -> Sequence[int]:
    """The row's own, or as many as it says, or the tokenizer's."""
    if row.get("completion_ids"):
        return row["completion_ids"]  # type: ignore[no-any-return]
    return [0] * row["completion_tokens"] if row.get("completion_tokens") else encode(text)


def _gold(row: Row) -> str | list[str]:
    """As `Problem.gold`."""
    if verifier_of(row) is not None:
        return str(row.get("answer") or "")
    golds = answers_of(row.get("answer"))
    return list(golds) if len(golds) > 1 else "".join(golds)


def _group_numbers(rows: Sequence[Row]) -> list[int]:
    numbers: dict[object, int] = {}
    return [numbers.setdefault(_group_key(row) or (row_number,), len(numbers)) for row_number, row in enumerate(rows)]


def _group_key(row: Row) -> str | None:
    if row.get("group") is not None:
        return f"group {json.dumps(row['group'], sort_keys=True)}"
    if "step" in row and "problem" in row:  # a run's samples
        return f"step {row['step']}, problem {row['problem']}"
    prompt = _prompt(row)
    return f"prompt {prompt}" if prompt else None


def _prompt(row: Row) -> str:
    return next((text for name in QUESTION_NAMES if (text := read_question(row.get(name)).text)), "")


def _text(completion: object) -> str | None:
    """A text, or what the last of the chat messages says."""
    if isinstance(completion, list) and completion and isinstance(completion[-1], Mapping):
        completion = completion[-1].get("content")
    return completion if isinstance(completion, str) else None


def _check(path: Path, rewards: Sequence[WeightedReward], columns: Mapping[str, str]) -> None:
    faults, rows = [], 0
    try:
        for number, line in _lines(path):
            rows += 1
            try:
                row = _parsed(line, columns)
                fault = _fault(row, rewards) if isinstance(row, dict) else f"a row is a JSON object such as {EXAMPLE}"
            except (ValueError, RecursionError) as error:
                fault = f"not JSON ({error})"
            if fault:
                faults.append(f"{path}:{number}: {fault}")
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror})") from error
    if len(faults) > FAULTS_SHOWN:
        faults[FAULTS_SHOWN:] = [f"{path}: {len(faults) - FAULTS_SHOWN} more rows that cannot be used"]
    if faults:
        raise BadInput("\n".join(faults))
    if not rows:
        raise BadInput(f"{path}: no row in it; a row is a JSON object such as {EXAMPLE}")


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Lines that are not blank, by number from 1."""
    with path.open("rb") as file:
        yield from ((number, line) for number, line in enumerate(file, start=1) if line.strip())


def _parsed(line: bytes, columns: Mapping[str, str]) -> Any:
    row = json.loads(line.decode("utf-8-sig"))
    if not isinstance(row, dict):
        return row
    return row | {field: value for field, name in columns.items() if (value := look_up(row, name)) is not None}


def _fault(row: Row, rewards: Sequence[WeightedReward]) -> str | None:
    """What makes a row useless, in one line."""
    if "completion" not in row:
        return f"no completion (fields: {', '.join(row)})"
    if _text(row["completion"]) is None:
        return "completion must be a text or a list of chat messages"
    ids = row.get("completion_ids")
    if ids is not None and not (isinstance(ids, list) and all(isinstance(one, int) for one in ids)):
        return "completion_ids must be a list of whole numbers"
    tokens = row.get("completion_tokens")
    if tokens is not None and (not isinstance(tokens, int) or isinstance(tokens, bool) or tokens < 0):
        return "completion_tokens must be a whole number"
    fields = dict.fromkeys((*GIVEN, *row), ())
    for weighted in rewards:
        reward = weighted.reward
        if missing := reward.missing(fields):
            return f"no {', '.join(missing)}, which reward {reward.name} needs"
        if reward.compares and _group_key(row) is None:
            return f"no group and no prompt: reward {reward.name} compares the completions of a group"
    return None
