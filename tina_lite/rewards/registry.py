"""Reward functions by name: those of this package, the user's own, and how the recipe's parameters reach them.

A reward function has TRL's signature, `f(completions, **columns) -> list of float or None`. Columns are those of the
data, and `prompts`, `completion_ids`, `answer`, `group_ids`; it is handed those that it names. Keyword-only parameters
with a default are its settings, which the recipe may give.
"""

import asyncio
import inspect
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from inspect import Parameter
from pathlib import Path
from typing import TypeVar

from tina_lite.errors import BadInput, nearest
from tina_lite.rewards.parameters import check_parameters, settings
from tina_lite.rewards.user_code import load_function

RewardFunction = Callable[..., object]
F = TypeVar("F", bound=RewardFunction)
Columns = Mapping[str, Sequence[object]]

_registered: dict[str, RewardFunction] = {}


def reward(name: str) -> Callable[[F], F]:
    """Register a function under a name that recipes can use.

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
        return function

    return register


def _origin(function: RewardFunction) -> str:
    return f"{function.__module__}.{getattr(function, '__qualname__', function)}"


def known_rewards() -> list[str]:
    """The registered names, sorted."""
    return sorted(_registered)


@dataclass(frozen=True, slots=True)
class Reward:
    """A reward function with its settings."""

    name: str
    """The registered name, or the function's."""
    function: RewardFunction
    params: Mapping[str, object]

    def __call__(self, columns: Columns) -> object:
        """What the function gives for the columns that it takes; an async function is waited for."""
        given = self.function(**self._taken(columns), **self.params)
        return _wait_for(given) if inspect.isawaitable(given) else given

    def missing(self, columns: Columns) -> list[str]:
        """The columns without which the function cannot be called."""
        optional = (Parameter.VAR_KEYWORD, Parameter.VAR_POSITIONAL)
        return [
            name
            for name, parameter in inspect.signature(self.function).parameters.items()
            if parameter.default is Parameter.empty and parameter.kind not in optional and name not in columns
        ]

    def _taken(self, columns: Columns) -> dict[str, Sequence[object]]:
        """Settings never come from a column: data may have a column of the same name by chance."""
        parameters = inspect.signature(self.function).parameters
        takes_all = any(parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters.values())
        own = settings(self.function)
        return {
            name: values for name, values in columns.items() if name not in own and (takes_all or name in parameters)
        }


def resolve(name: str, params: Mapping[str, object] | None = None, base_folder: Path | None = None) -> Reward:
    """A reward by registered name, `module:function` or `path/to/file.py:function`, with its settings checked.

    Files are looked for from the working directory, then from `base_folder`, the recipe's own.
    """
    function = load_function(name, base_folder) if ":" in name else _registered.get(name)
    if function is None:
        hint = nearest(name, known_rewards())
        raise BadInput(
            f"rewards: unknown reward {name!r}{hint} (known: {', '.join(known_rewards())}; "
            "your own: module:function or file.py:function)"
        )
    check_parameters(name, function, params or {})
    return Reward(name.rpartition(":")[2], function, dict(params or {}))


def _wait_for(awaitable: object) -> object:
    """In a thread of its own: in a notebook this one already has a running event loop."""

    async def waited() -> object:
        return await awaitable  # type: ignore[misc]

    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, waited()).result()
