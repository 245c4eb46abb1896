"""What a step's completions are worth, whatever the reward functions do."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from reprlib import repr
from typing import Any

from tina_lite.recipe.schema import RewardSection
from tina_lite.rewards.call import Columns, Failure, chat, style_of
from tina_lite.rewards.registry import Reward, resolve
from tina_lite.util.errors import BadInput
from tina_lite.util.records import Completion, Group, Problem, Prompt

CALLED_WITH = ("completions", "prompts", "answer", "group_ids", "data_source", "extra_info")
"""Columns that are handed on under other names too."""


@dataclass(frozen=True, slots=True)
class WeightedReward:
    """Is a reward and its factor in the sum."""

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
    """Holds the rewards of one group of G completions."""

    rewards: Mapping[str, tuple[float | None, ...]]
    """By reward name, G values before weighting; None where a reward had no opinion."""
    totals: tuple[float, ...]
    """G weighted sums."""


@dataclass(frozen=True, slots=True)
class StepScores:
    """Holds the rewards of a step, and what went wrong in finding them."""

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
        """Give the last line of a reward's traceback."""
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
        **({"verifier": [problem.verifier for problem in problems]} if any(p.verifier for p in problems) else {}),
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


BROKEN_SHARE = 0.5
"""Of the completions of a rollout on which a reward failed; more than that is not bad luck."""
BROKEN_IN_A_ROW = 4


class BrokenRewards:
    """Follows failures from rollout to rollout, since the start or the resume of a run."""

    def __init__(self, most: Mapping[str, int]) -> None:
        """`most`: completions on which a reward may fail in all, by name; a reward without is judged by its share."""
        self._most = most
        self._in_a_row: Counter[str] = Counter()
        self._in_all: Counter[str] = Counter()

    def after(self, scores: StepScores) -> list[str]:
        """Rewards that failed on more completions than they may, or on more than BROKEN_SHARE BROKEN_IN_A_ROW times.

        >>> bad, good = StepScores((), {"mine": 3}, {}, 4), StepScores((), {"mine": 2}, {}, 4)
        >>> broken, strict = BrokenRewards({}), BrokenRewards({"mine": 5})
        >>> [broken.after(scores) for scores in (bad, good, bad, bad, bad, bad)]
        [[], [], [], [], [], ['mine']]
        >>> [strict.after(scores) for scores in (bad, good, good)]
        [[], [], ['mine']]
        """
        failing = {name for name, count in scores.failures.items() if count > BROKEN_SHARE * scores.completions}
        self._in_a_row = Counter({name: self._in_a_row[name] + 1 for name in failing})
        self._in_all.update(scores.failures)
        return sorted(name for name in self._in_all if self._is_broken(name))

    def _is_broken(self, name: str) -> bool:
        if name in self._most:
            return self._in_all[name] > self._most[name]
        return self._in_a_row[name] >= BROKEN_IN_A_ROW


TRIAL_S = 2.0
"""For each reward; one that is slow on its first call is not held to be wrong."""
RIGHT = "<think>One and one is two.</think><answer>The answer is \\boxed{{{gold}}}.</answer>"
WRONG = "I do not know, and so I add one to it again = and again. " * 20


def try_rewards(rewards: Sequence[WeightedReward], problem: Problem) -> list[str]:
    """Call each on two made-up completions of a problem, one right and one wrong, which are alike in nothing.

    Returns what a person should know: which rewards of their own do not tell the two apart.

    Raises:
        BadInput: two have one name, a column is missing, or a call raised; one whose `on_error` the recipe gives may.
            Also where a function works on texts alone, and is handed chats.
    """
    scores = _scored(rewards, problem)
    return [note for weighted in rewards if (note := _looked_at(weighted, scores, problem))]


def _looked_at(weighted: WeightedReward, scores: StepScores, problem: Problem) -> str:
    """What there is to say of a reward; BadInput where it cannot be used as it is."""
    reward, name = weighted.reward, weighted.reward.name
    fails, same = name in scores.failures, not reward.is_ours and _gives_the_same(scores, name)
    if not fails and not same:
        return ""
    if style_of(reward.function) == "step" and not reward.as_text and not reward.is_ours:
        as_text = _scored([replace(weighted, reward=replace(reward, as_text=True))], problem)
        if name not in as_text.failures and not _gives_the_same(as_text, name):
            what = f"fails on chats ({scores.reason(name)})" if fails else "gives the same for every chat"
            raise BadInput(
                f"rewards: {name} {what}, and works on texts: give it completions: text in the recipe, as in "
                f"{{name: {name}, completions: text}}"
            )
    if fails:
        if not weighted.may_fail and not scores.reason(name).startswith("TimeoutError"):
            raise BadInput(
                f"rewards: {name} fails on a made-up completion ({scores.reason(name)}); mend it, or give it on_error "
                "in the recipe if it may fail; more: tina-lite docs rewards"
            )
        return ""
    (value, *_) = scores.groups[0].rewards[name]
    gave = "had no opinion on" if value is None else f"gave {value:g} for"
    return f"reward {name} {gave} both of two made-up completions, a right and a long wrong one: it may teach nothing"


def _scored(rewards: Sequence[WeightedReward], problem: Problem) -> StepScores:
    texts = (RIGHT.format(gold=problem.answer), WRONG)
    made_up = (Completion((0,) * len(text.split()), (0.0,) * len(text.split()), text, "stop") for text in texts)
    group = Group(Prompt(problem, problem.question, (0,)), tuple(made_up))
    return score([group], [replace(one, limit_s=min(TRIAL_S, one.limit_s or TRIAL_S)) for one in rewards])


def _gives_the_same(scores: StepScores, name: str) -> bool:
    return len(set(scores.groups[0].rewards[name])) == 1
