"""What the model wrote early and what it writes late, from samples.jsonl, without reading all of it into memory."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MOST_PAIRS = 3
EARLY_STEPS = 5
"""At the start, and as many at the end: where no problem came twice, early and late samples are from there."""
_HEAD = re.compile(rb'\{"step": (\d+), "problem": (-?\d+), ')


@dataclass(frozen=True, slots=True)
class Told:
    """One step's group on a problem, told by its middling completion: of an even number, the lower of the two."""

    step: int
    question: str
    answer: str
    completion: str
    rewards: Mapping[str, float | None]
    total: float
    finish_reason: str
    group_totals: tuple[float, ...]
    """Of all completions of the group."""


@dataclass(frozen=True, slots=True)
class Pair:
    early: Told
    late: Told

    @property
    def same_problem(self) -> bool:
        return self.early.question == self.late.question


def pairs(path: Path) -> tuple[Pair, ...]:
    """At most `MOST_PAIRS`, of one problem where one was asked early and late; empty without two steps."""
    where = _index(path)
    chosen = _chosen(list(where))
    if not chosen:
        return ()
    with path.open("rb") as file:
        told = {key: _told(file, where[key]) for key in dict.fromkeys(key for pair in chosen for key in pair)}
    found = ((told[early], told[late]) for early, late in chosen)
    return tuple(Pair(early, late) for early, late in found if early is not None and late is not None)


def _index(path: Path) -> dict[tuple[int, int], list[int]]:
    """By step and problem, where in the file the group's lines begin; a later line of the same step wins."""
    where: dict[tuple[int, int], list[int]] = {}
    try:
        with path.open("rb") as file:
            offset = 0
            for line in file:
                key = _key(line)
                if key is not None:
                    where.setdefault(key, []).append(offset)
                offset += len(line)
    except OSError:
        return {}
    return where


def _key(line: bytes) -> tuple[int, int] | None:
    if not line.endswith(b"\n"):
        return None  # torn
    if match := _HEAD.match(line):
        return int(match[1]), int(match[2])
    try:
        row = json.loads(line)
        return int(row["step"]), int(row["problem"])
    except (ValueError, KeyError, TypeError):
        return None


def _chosen(groups: list[tuple[int, int]]) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Pairs of (step, problem): the same problem as far apart as can be, or else the first steps and the last."""
    if not groups:
        return []
    first, last = min(groups)[0], max(groups)[0]
    seen: dict[int, list[int]] = {}
    for step, problem in sorted(groups):
        seen.setdefault(problem, []).append(step)
    twice = [(steps[0], steps[-1], problem) for problem, steps in seen.items() if _apart(steps, first, last)]
    if twice:
        widest = sorted(twice, key=lambda found: found[0] - found[1])[:MOST_PAIRS]
        return [((early, problem), (late, problem)) for early, late, problem in widest]
    ordered = sorted(groups)
    count = min(MOST_PAIRS, EARLY_STEPS, len(ordered) // 2)
    return list(zip(ordered[:count], ordered[-count:], strict=True)) if count else []


def _apart(steps: list[int], first: int, last: int) -> bool:
    """Seen in the first third of the run and in the last."""
    third = (last - first) / 3
    return third > 0 and steps[0] <= first + third and steps[-1] >= last - third


def _told(file: Any, offsets: list[int]) -> Told | None:
    rows = []
    for offset in offsets:
        file.seek(offset)
        try:
            rows.append(json.loads(file.readline().decode("utf-8", "replace")))
        except ValueError:
            continue
    try:
        rows.sort(key=lambda row: float(row["total"]))
        row = rows[(len(rows) - 1) // 2]
        return Told(
            step=int(row["step"]),
            question=str(row["question"]),
            answer=str(row["answer"]),
            completion=str(row["completion"]),
            rewards=dict(row["rewards"]),
            total=float(row["total"]),
            finish_reason=str(row["finish_reason"]),
            group_totals=tuple(float(row["total"]) for row in rows),
        )
    except (IndexError, KeyError, TypeError, ValueError):
        return None
