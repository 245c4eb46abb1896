"""What a step's completions are worth, whatever the reward functions do."""

import math
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tina_lite.errors import BadInput, TinaError
from tina_lite.records import Group
from tina_lite.rewards.completions import chat
from tina_lite.rewards.registry import Columns, Reward


@dataclass(frozen=True, slots=True)
class WeightedReward:
    """A reward and its factor in the sum."""

    reward: Reward
    weight: float


@dataclass(frozen=True, slots=True)
class Scores:
    """The rewards of one group of G completions."""

    rewards: Mapping[str, tuple[float | None, ...]]
    """By reward name, G values before weighting; None where a reward had no opinion."""
    totals: tuple[float, ...]
    """G weighted sums."""


@dataclass(frozen=True, slots=True)
class StepScores:
    """The rewards of a step, and what went wrong in finding them."""

    groups: tuple[Scores, ...]
    failures: Mapping[str, int]
    """By reward name, completions that got 0 because the function failed on them."""
    first_traceback: str | None


@dataclass(frozen=True, slots=True)
class _Judged:
    """What one reward made of N completions."""

    values: tuple[float | None, ...]
    failures: int
    first_traceback: str | None


def score(groups: Sequence[Group], rewards: Sequence[WeightedReward]) -> StepScores:
    """Call each reward once on all N = B x G completions, in the order of the groups.

    A reward that raises gives 0 to all; a NaN, an infinity or anything that is no number gives 0 to its completion.
    Failures are counted, never fatal. Advantages are computed elsewhere.
    """
    names = [weighted.reward.name for weighted in rewards]
    if len(set(names)) < len(names):
        raise BadInput(f"rewards: a name stands twice in {', '.join(names)}; give one of the functions another name")
    columns = columns_of(groups)
    judged = {weighted.reward.name: _judge(weighted.reward, columns) for weighted in rewards}
    weights = [weighted.weight for weighted in rewards]
    return StepScores(
        groups=tuple(_scores_of(rows, judged, weights) for rows in _row_slices(groups)),
        failures={name: one.failures for name, one in judged.items() if one.failures},
        first_traceback=next((one.first_traceback for one in judged.values() if one.first_traceback), None),
    )


def columns_of(groups: Sequence[Group]) -> Columns:
    """The keyword arguments of TRL's reward functions, each a list of N; a value that a row lacks is None."""
    rows = [(index, group, completion) for index, group in enumerate(groups) for completion in group.completions]
    problems = [group.prompt.problem for _, group, _ in rows]
    names = dict.fromkeys(name for group in groups for name in group.prompt.problem.columns)
    return {
        **{name: [problem.columns.get(name) for problem in problems] for name in names},
        "prompts": chat(*(problem.question for problem in problems), role="user"),
        "completions": chat(*(completion.text for _, _, completion in rows)),
        "completion_ids": [list(completion.ids) for _, _, completion in rows],
        "answer": [problem.answer for problem in problems],
        "group_ids": [index for index, _, _ in rows],
    }


def _row_slices(groups: Sequence[Group]) -> list[slice]:
    ends = [0]
    for group in groups:
        ends.append(ends[-1] + len(group.completions))
    return [slice(start, end) for start, end in pairwise(ends)]


def _scores_of(rows: slice, judged: Mapping[str, _Judged], weights: Sequence[float]) -> Scores:
    values = {name: one.values[rows] for name, one in judged.items()}
    totals = tuple(
        math.fsum(weight * value for weight, value in zip(weights, row, strict=True) if value is not None)
        for row in zip(*values.values(), strict=True)
    )
    return Scores(values, totals)


def _judge(reward: Reward, columns: Columns) -> _Judged:
    missing = reward.missing(columns)
    if missing:
        offered = ", ".join(sorted(columns))
        raise BadInput(f"reward {reward.name}: it wants a column {', '.join(missing)}; there are {offered}")
    count = len(columns["completions"])
    try:
        values = _as_list(reward(columns), count)
    except TinaError:
        raise
    except Exception:
        return _Judged((0.0,) * count, count, traceback.format_exc())
    checked = [_checked(value) for value in values]
    faults = [row for row, value in enumerate(checked) if value is _FAULT]
    complaint = None
    if faults:
        found = repr(values[faults[0]])[:200]
        complaint = f"reward {reward.name} gave {found} for completion {faults[0]}; a finite float or None was wanted"
    return _Judged(tuple(0.0 if isinstance(value, _Fault) else value for value in checked), len(faults), complaint)


def _as_list(values: object, count: int) -> list[object]:
    if isinstance(values, str | bytes | Mapping) or not hasattr(values, "__iter__"):
        raise TypeError(f"a reward function gives a list of float or None, not {repr(values)[:200]}")
    listed = list(values)
    if len(listed) != count:
        raise ValueError(f"{len(listed)} rewards for {count} completions")
    return listed


class _Fault:
    """Neither a number nor None."""


_FAULT = _Fault()


def _checked(value: object) -> float | _Fault | None:
    if value is None:
        return None
    try:
        number = math.nan if isinstance(value, str | bytes) else float(value)  # type: ignore[arg-type]
    except Exception:
        return _FAULT
    return number if math.isfinite(number) else _FAULT
