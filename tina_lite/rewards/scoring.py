"""What a step's completions are worth, whatever the reward functions do."""

import math
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from reprlib import repr
from typing import Any

from tina_lite.errors import BadInput
from tina_lite.recipe.schema import RewardSection
from tina_lite.records import Group, Prompt
from tina_lite.rewards.calling import Columns, Failure
from tina_lite.rewards.completions import chat
from tina_lite.rewards.registry import Reward, resolve

CALLED_WITH = ("completions", "prompts", "answer", "group_ids", "data_source", "extra_info")
"""Columns that are handed on under other names too."""


@dataclass(frozen=True, slots=True)
class WeightedReward:
    """A reward and its factor in the sum."""

    reward: Reward
    weight: float
    on_error: float | None = 0.0
    """What a completion gets on which the function fails; None: no opinion."""
    limit_s: float | None = None
    """Seconds of wall clock for the function on one step; None: no limit."""
    max_failures: int | None = None
    """Completions on which it may fail before the run ends; None: it may now and then."""
    may_fail: bool = False
    """Whether the recipe says what it gets then, and so reckons with it."""


@dataclass(frozen=True, slots=True)
class TrainerState:
    """How far training is, under the names that TRL's reward functions read."""

    global_step: int = 0
    """Steps that are behind."""
    max_steps: int = 0
    epoch: float = 0.0
    """Passes through the problems that are behind."""


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
    """By reward name, completions that got its `on_error` because the function failed on them."""
    tracebacks: Mapping[str, str]
    """By name of a reward that failed, where it first did."""
    completions: int
    """N, all groups together."""

    @property
    def silent(self) -> list[str]:
        """Rewards that had no opinion on any completion."""
        names = self.groups[0].rewards if self.groups else ()
        said = {
            name for one in self.groups for name, values in one.rewards.items() if any(v is not None for v in values)
        }
        return [name for name in names if name not in said]

    def reason(self, name: str) -> str:
        """The last line of a reward's traceback."""
        return self.tracebacks[name].rstrip().rpartition("\n")[2]


@dataclass(frozen=True, slots=True)
class _Judged:
    """What one reward made of N completions."""

    values: tuple[float | None, ...]
    failures: int
    traceback: str
    """Of the first failure; empty where there was none."""


def weighted_rewards(sections: Iterable[RewardSection], folder: Path | None) -> list[WeightedReward]:
    """The rewards of a recipe that stands in `folder`, with names and settings checked."""
    return [
        WeightedReward(
            resolve(one.name, one.params, folder, one.completions),
            one.weight,
            one.on_error,
            one.limit_s,
            one.max_failures,
            "on_error" in one.model_fields_set,
        )
        for one in sections
    ]


def score(
    groups: Sequence[Group], rewards: Sequence[WeightedReward], state: TrainerState = TrainerState()
) -> StepScores:
    """What each reward gives for all N = B x G completions of a step. Advantages are computed elsewhere."""
    columns = columns_of(groups)
    columns = {**columns, "trainer_state": [state] * len(columns["completions"])}
    return score_rows(columns, rewards, _row_slices(groups))


def score_rows(columns: Columns, rewards: Sequence[WeightedReward], spans: Sequence[slice]) -> StepScores:
    """The same for columns of N values, in which each group's rows stand together at its span.

    Where a reward raises, hangs, or gives a NaN, an infinity or anything that is no number, the completion gets the
    reward's `on_error`. Failures are counted, never fatal.
    """
    names = [weighted.reward.name for weighted in rewards]
    if len(set(names)) < len(names):
        raise BadInput(f"rewards: a name stands twice in {', '.join(names)}; give one of the functions another name")
    completions = len(columns["completions"])
    judged = {weighted.reward.name: _judge(weighted, columns) for weighted in rewards}
    weights = [weighted.weight for weighted in rewards]
    return StepScores(
        groups=tuple(_scores_of(rows, judged, weights) for rows in spans),
        failures={name: one.failures for name, one in judged.items() if one.failures},
        tracebacks={name: one.traceback for name, one in judged.items() if one.traceback},
        completions=completions,
    )


def columns_of(groups: Sequence[Group]) -> Columns:
    """The keyword arguments of TRL's reward functions, each a list of N; a value that a row lacks is None."""
    rows = [(index, group, completion) for index, group in enumerate(groups) for completion in group.completions]
    problems = [group.prompt.problem for _, group, _ in rows]
    names = dict.fromkeys(name for group in groups for name in group.prompt.problem.columns)
    return {
        **{name: [problem.columns.get(name) for problem in problems] for name in names},
        "prompts": [_conversation(group.prompt) for _, group, _ in rows],
        "completions": chat(*(completion.text for _, _, completion in rows)),
        "completion_ids": [list(completion.ids) for _, _, completion in rows],
        "answer": [problem.gold for problem in problems],
        "group_ids": [index for index, _, _ in rows],
    }


def _conversation(prompt: Prompt) -> list[Any]:
    return list(prompt.messages) or [*prompt.problem.turns, *chat(prompt.problem.question, role="user")[0]]


def _of_its_own(columns: Columns, reward: Reward) -> Columns:
    """Copies, which a reward may sort, strip or empty without harm to the others, of what it can ask for."""
    wanted = {name: values for name, values in columns.items() if name in CALLED_WITH or reward.may_take(name)}
    return {name: [_copied(value, name) for value in values] for name, values in wanted.items()}


def _copied(value: Any, name: str) -> Any:
    if name == "completion_ids":  # long and flat
        return list(value)
    return deepcopy(value) if isinstance(value, list | dict | set) else value


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


def _judge(weighted: WeightedReward, columns: Columns) -> _Judged:
    reward = weighted.reward
    missing = reward.missing(columns)
    if missing:
        offered = ", ".join(sorted(columns))
        raise BadInput(f"reward {reward.name}: it wants a column {', '.join(missing)}; there are {offered}")
    given = reward(_of_its_own(columns, reward), weighted.limit_s)
    checked = [_checked(value) for value in given]
    failures = [(row, value) for row, value in enumerate(checked) if isinstance(value, Failure)]
    values = tuple(weighted.on_error if isinstance(value, Failure) else value for value in checked)
    first = f"reward {reward.name}, completion {failures[0][0]}:\n{failures[0][1].traceback}" if failures else ""
    return _Judged(values, len(failures), first)


def _checked(value: object) -> float | Failure | None:
    """A finite number, or None for no opinion; else a Failure. Of a mapping the `score`, as in verl."""
    value = value.get("score", value) if isinstance(value, Mapping) else value
    if value is None or isinstance(value, Failure):
        return value
    try:
        number = math.nan if isinstance(value, str | bytes) else float(value)  # type: ignore[arg-type]
    except Exception:
        number = math.nan
    if math.isfinite(number):
        return number
    return Failure(f"ValueError: it gave {repr(value)}; a finite float or None was wanted")
