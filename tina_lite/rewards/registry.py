"""Reward functions by name: the built-in, a user's file or function, their settings, and what they ask for."""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from tina_lite.recipe.schema import RewardSection
from tina_lite.rewards.call import (
    Columns,
    RewardFunction,
    call,
    check_parameters,
    is_verl,
    missing_columns,
    style_of,
    wants_text,
)
from tina_lite.rewards.workers import LOST, Lost
from tina_lite.util.errors import BadInput, nearest
from tina_lite.util.user_code import guest, load_function

Verdict = bool | Lost | None


def each_gold(gold: object) -> Sequence[object]:
    """List the golds of a problem that may have several.

    >>> each_gold("5"), each_gold(["5", "5.0"]), each_gold([])
    (('5',), ['5', '5.0'], (None,))
    """
    if isinstance(gold, list | tuple):
        return gold or (None,)
    return (gold,)


def best_of(found: Sequence[Verdict]) -> Verdict:
    """Judge one completion against each of its golds: right, else undecided, else wrong, else not comparable.

    >>> best_of([False, True]), best_of([None, False]), best_of([None])
    (True, False, None)
    """
    if True in found:
        return True
    if any(one is LOST for one in found):
        return LOST
    return False if False in found else None


def best(found: Sequence[float | None]) -> float | None:
    """Take the best of one completion's rewards against each of its golds.

    >>> best([0.0, 1.0]), best([None, 0.0]), best([None])
    (1.0, 0.0, None)
    """
    return max((one for one in found if one is not None), default=None)


# Reward functions by name: those of this package, the user's own, and how the recipe's parameters reach them.
#
# A reward function has TRL's signature, `f(completions, **columns) -> list of float or None`, or is asked for one
# completion or one group (call.py). Columns are those of the data, and `prompts`, `completion_ids`, `answer`,
# `group_ids`. Keyword-only parameters with a default are its settings, which the recipe may give.

F = TypeVar("F", bound=RewardFunction)

NO_ROWS: Columns = dict.fromkeys(
    ("prompts", "completions", "completion_ids", "answer", "group_ids", "target_length", "verifier"), ()
)

_registered: dict[str, RewardFunction] = {}
_own_limits: set[RewardFunction] = set()


def reward(name: str, *, own_limit: bool = False) -> Callable[[F], F]:
    """Register a function under a name that recipes can use; `own_limit`: it keeps its own limit of time.

    >>> @reward("short")
    ... def short(completions, *, words: int = 50, **columns):
    ...     return [float(len(messages[0]["content"].split()) <= words) for messages in completions]
    >>> resolve("short", {"words": 3}).name
    'short'
    """

    def register(function: F) -> F:
        known = _registered.get(name)
        if known is not None and _origin(known) != _origin(function):
            raise BadInput(f"@reward({name!r}): this name is taken by {_origin(known)}; choose another")
        _registered[name] = function
        if own_limit:
            _own_limits.add(function)
        return function

    return register


def _origin(function: RewardFunction) -> str:
    return f"{function.__module__}.{getattr(function, '__qualname__', function)}"


def known_rewards() -> list[str]:
    """List the registered names, sorted."""
    return sorted(_registered)


@dataclass(frozen=True, slots=True)
class Reward:
    """Is a reward function with its settings."""

    name: str
    """The registered name, or the function's."""
    function: RewardFunction
    params: Mapping[str, object]
    as_text: bool = False
    """Whether a function of TRL's signature gets completions and prompts as texts, and not as chats."""

    def __call__(self, columns: Columns, limit_s: float | None = None) -> list[object]:
        """N values as the function gives them; a Failure for each completion on which it raised or hung."""
        if self.function in _own_limits:
            limit_s = None
        with guest(f"reward {self.name}"):
            return call(self.function, self.params, columns, limit_s, self.as_text)

    def takes(self, column: str) -> bool:
        """Say whether the function names this column."""
        return column in inspect.signature(self.function).parameters

    def may_take(self, column: str) -> bool:
        """Whether the function names this column, or takes any."""
        parameters = inspect.signature(self.function).parameters
        return column in parameters or any(one.kind is one.VAR_KEYWORD for one in parameters.values())

    @property
    def is_ours(self) -> bool:
        """Whether it ships with this package."""
        return self.function.__module__.startswith("tina_lite.")

    @property
    def compares(self) -> bool:
        """Say whether it weighs the completions of a group against each other."""
        return self.takes("group_ids") or style_of(self.function) == "group"

    def missing(self, columns: Columns) -> list[str]:
        """The columns without which the function cannot be called."""
        return missing_columns(self.function, columns)


def wants_answers(rewards: Iterable[Reward]) -> bool:
    """Whether one of them asks for the gold by name."""
    return any(one.takes("answer") or one.takes("verifier") or is_verl(one.function) for one in rewards)


def sections_of(given: Iterable[RewardFunction | str | Mapping[str, Any]]) -> tuple[RewardSection, ...]:
    """Rewards as a recipe has them; a function is registered under its name. BadInput where it has none."""
    sections = []
    for one in given:
        if callable(one):
            name = str(getattr(one, "__name__", type(one).__name__))
            if not name.isidentifier():
                raise BadInput(f"rewards: {one!r} has no name; write it as a def, whose name stands for it in tables")
            reward(name)(one)
            one = name
        sections.append(RewardSection.model_validate(one))
    return tuple(sections)


def resolve(
    name: str,
    params: Mapping[str, object] | None = None,
    base_folder: Path | None = None,
    completions: Literal["auto", "chat", "text"] = "auto",
) -> Reward:
    """Find a reward by registered name, `module:function` or `path/to/file.py:function`; its settings are checked.

    `completions`: as a recipe's reward has it. Files are looked for from the working directory, then from
    `base_folder`, the recipe's own.
    """
    function = load_function(name, base_folder) if ":" in name else _registered.get(name)
    if function is None:
        hint = nearest(name, known_rewards())
        raise BadInput(
            f"rewards: unknown reward {name!r}{hint} (known: {', '.join(known_rewards())}; "
            "your own: module:function or file.py:function)"
        )
    check_parameters(name, function, params or {})
    if function.__module__.startswith("tina_lite.rewards."):  # these check their settings whatever they are called on
        call(function, params or {}, NO_ROWS, None)
    as_text = completions == "text" or (completions == "auto" and wants_text(function))
    return Reward(name.rpartition(":")[2], function, dict(params or {}), as_text)
