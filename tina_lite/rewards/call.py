"""How a reward function is called: with chats as TRL hands them over, on all completions, on each, or on each group."""

import asyncio
import inspect
import math
import re
import time
import traceback
import types
import typing
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from inspect import Parameter
from reprlib import repr
from typing import Any, Literal

from tina_lite.util.errors import BadInput, TinaError, nearest
from tina_lite.util.wall_clock import Limit, OutOfTime, wall_clock_limit


def settings(function: Callable[..., object]) -> dict[str, object]:
    """Read each setting's type, from its annotation or else from its default.

    >>> def shorter(completions, *, words: int = 50, strict=False): ...
    >>> settings(shorter)
    {'words': <class 'int'>, 'strict': <class 'bool'>}
    """
    hints = _hints(function)
    return {
        name: hints.get(name, object if parameter.default is None else type(parameter.default))
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and parameter.default is not inspect.Parameter.empty
    }


def _hints(function: Callable[..., object]) -> dict[str, object]:
    try:
        return typing.get_type_hints(function)
    except (NameError, TypeError):  # a name imported for type checkers only, a callable object
        return {}


def check_parameters(reward: str, function: Callable[..., object], params: Mapping[str, object]) -> None:
    """Refuse a setting that the function lacks or whose value has the wrong type."""
    allowed = settings(function)
    for name, value in params.items():
        if name not in allowed:
            hint = nearest(name, list(allowed))
            raise BadInput(f"reward {reward}: unknown parameter {name!r}{hint} ({_listed(allowed)})")
        if not fits(value, allowed[name]):
            wanted = _type_name(allowed[name])
            raise BadInput(f"reward {reward}: {name} is {value!r}; it must be {wanted} ({_listed(allowed)})")


def _listed(allowed: Mapping[str, object]) -> str:
    if not allowed:
        return "it takes none"
    return "allowed: " + ", ".join(f"{name}: {_type_name(kind)}" for name, kind in allowed.items())


def _type_name(kind: object) -> str:
    return kind.__name__ if isinstance(kind, type) else str(kind)


def fits(value: object, kind: object) -> bool:
    """Whether a value read from YAML is of a type.

    >>> fits(3, float), fits(True, int), fits(None, int | None), fits([1], list[int]), fits("3", int)
    (True, False, True, True, False)
    """
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        return any(fits(value, choice) for choice in typing.get_args(kind))
    if kind in (int, float):
        numbers = int if kind is int else (int, float)
        return isinstance(value, numbers) and not isinstance(value, bool)
    plain = typing.get_origin(kind) or kind
    return isinstance(value, plain) if isinstance(plain, type) else True


Message = dict[str, str]
Completions = Sequence[Sequence[Message]]


def chat(*texts: str, role: str = "assistant") -> list[list[Message]]:
    """Put texts into chats of one message each, as reward functions get them.

    >>> chat("34")
    [[{'role': 'assistant', 'content': '34'}]]
    """
    return [[{"role": role, "content": text}] for text in texts]


def contents(chats: Completions) -> list[str]:
    """The last text of each: of a completion it is the only one, of a prompt the question."""
    return [messages[-1]["content"] for messages in chats]


# How a reward function is called: on all completions at once, on each, or on each group; sync or async.
#
# The function says which by what it names: `completions` (TRL's signature), else `completion`, else `group`. Columns,
# by name, go to those that it takes:
#
# | it names | it is called | text | other columns | it gives |
# | --- | --- | --- | --- | --- |
# | completions | once a step | chats, or texts (`completions: text`) | lists of N | N values |
# | completion | once a completion | `completion`, `prompt` | this completion's values | one value |
# | group | once a group | `group`: the G texts; `prompt` | `completion_ids` of G; the problem's values | G values |
# | solution_str, ground_truth | as verl: once a completion | `solution_str` | `data_source`, `extra_info` | one value |

RewardFunction = Callable[..., object]
Columns = Mapping[str, Sequence[Any]]
Style = Literal["step", "completion", "group"]

TEXTS = re.compile(r"(\w+\.)*([Ll]ist|Sequence)\[str\]")
ONCE = ("trainer_state",)
"""Columns of which every completion has the same value: where TRL gives the value alone, so is it here."""
HANGS_A_STEP = 3
"""Calls that may hang before a step's limit is used up."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Stands in place of a value: the function failed on this completion."""

    traceback: str


def style_of(function: RewardFunction) -> Style:
    """Tell by its parameters how a reward function wants to be called.

    >>> style_of(lambda completions, completion: 0), style_of(lambda completion: 0), style_of(lambda **columns: 0)
    ('step', 'completion', 'step')
    """
    names = inspect.signature(function).parameters
    if "completions" in names:
        return "step"
    if "completion" in names or is_verl(function):
        return "completion"
    return "group" if "group" in names else "step"


def wants_text(function: RewardFunction) -> bool:
    """Whether its annotation says that completions are texts.

    >>> def mine(completions: list[str], **columns): ...
    >>> wants_text(mine), wants_text(lambda completions: 0)
    (True, False)
    """
    parameter = inspect.signature(function).parameters.get("completions")
    return parameter is not None and TEXTS.fullmatch(str(parameter.annotation)) is not None


def is_verl(function: RewardFunction) -> bool:
    """Say whether a function has the signature of verl's rewards.

    >>> is_verl(lambda data_source, solution_str, ground_truth, extra_info=None: 0)
    True
    """
    return {"solution_str", "ground_truth"} <= inspect.signature(function).parameters.keys()


def columns_for(function: RewardFunction, columns: Columns) -> Columns:
    """What a function of this style may ask for, still one value for each completion."""
    style = style_of(function)
    if style == "step":
        return columns
    texts, prompts = contents(columns["completions"]), contents(columns["prompts"])
    if is_verl(function):
        nothing: Columns = {"data_source": [""] * len(texts), "extra_info": [{}] * len(texts)}
        columns = {**nothing, **columns, "solution_str": texts, "ground_truth": columns["answer"]}
    return {**columns, style: texts, "prompt": prompts}


def missing_columns(function: RewardFunction, columns: Columns) -> list[str]:
    """The columns without which the function cannot be called."""
    offered = columns_for(function, columns)
    optional = (Parameter.VAR_KEYWORD, Parameter.VAR_POSITIONAL)
    return [
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.default is Parameter.empty and parameter.kind not in optional and name not in offered
    ]


def call(
    function: RewardFunction,
    params: Mapping[str, object],
    columns: Columns,
    limit_s: float | None,
    as_text: bool = False,
) -> list[object]:
    """Call the function for N values; a Failure stands for each completion on which it raised or passed the limit.

    `limit_s`: seconds of wall clock for all calls. Async calls run side by side. `as_text`: completions and prompts are
    handed over as texts, where they would be chats.
    """
    style = style_of(function)
    if as_text and style == "step":
        columns = {**columns, **{name: contents(columns[name]) for name in ("completions", "prompts")}}
    taken = _taken(function, columns_for(function, columns))
    count = len(columns["completions"])
    if style == "step":
        alone = {name: next(iter(values), None) if name in ONCE else values for name, values in taken.items()}
        (given,) = call_each(function, [{**alone, **params}], limit_s)
        return _spread(given, count)
    if style == "completion":
        rows = [{name: values[row] for name, values in taken.items()} for row in range(count)]
        return call_each(function, [{**row, **params} for row in rows], limit_s)
    spans = _spans(columns["group_ids"])
    groups = [{name: _group_value(name, values[span]) for name, values in taken.items()} for span in spans]
    outcomes = call_each(function, [{**group, **params} for group in groups], limit_s)
    return [
        value
        for outcome, span in zip(outcomes, spans, strict=True)
        for value in _spread(outcome, span.stop - span.start)
    ]


def _taken(function: RewardFunction, columns: Columns) -> Columns:
    """Settings never come from a column: data may have a column of the same name by chance."""
    parameters = inspect.signature(function).parameters
    takes_all = any(parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters.values())
    own = settings(function)
    return {name: values for name, values in columns.items() if name not in own and (takes_all or name in parameters)}


def _group_value(name: str, values: Sequence[Any]) -> Any:
    return list(values) if name in ("group", "completion_ids") else values[0]


def _spans(group_ids: Sequence[int]) -> list[slice]:
    starts = [row for row, group in enumerate(group_ids) if row == 0 or group != group_ids[row - 1]]
    return [slice(start, end) for start, end in zip(starts, [*starts[1:], len(group_ids)], strict=True)]


def call_each(
    function: RewardFunction, calls: Sequence[Mapping[str, object]], limit_s: float | None
) -> list[object | Failure]:
    """What each call gives, or its Failure.

    `limit_s`: seconds of wall clock for all of them. Of several calls one may take a share of it, so that one which
    hangs leaves time for others; when all of it is used up, the rest is not called.
    """
    outcomes: list[object | Failure] = []
    share_s = limit_s / HANGS_A_STEP if limit_s and len(calls) > 1 else limit_s
    ends = math.inf if limit_s is None else time.monotonic() + limit_s
    for arguments in calls:
        left_s = ends - time.monotonic()
        if left_s <= 0:
            outcomes.append(Failure(f"TimeoutError: not called, as the step's limit_s of {limit_s:g} s was used up\n"))
        else:
            outcomes.append(_attempt(function, arguments, share_s and min(share_s, left_s)))
    pending = {row: outcome for row, outcome in enumerate(outcomes) if inspect.isawaitable(outcome)}
    if pending:
        for row, outcome in zip(pending, _awaited(list(pending.values()), limit_s), strict=True):
            outcomes[row] = outcome
    return outcomes


def _attempt(function: RewardFunction, arguments: Mapping[str, object], limit_s: float | None) -> object | Failure:
    with wall_clock_limit(limit_s) as limit:
        try:
            given = function(**arguments)
            if not isinstance(given, Iterator):
                return given
            return [value for value in given]  # noqa: C416 (list() of an endless iterator would not hear the alarm)
        except TinaError:
            raise
        except (Exception, SystemExit) as error:
            return _failure(error)
        except OutOfTime as error:
            return _hung(error, limit, limit_s)


def _failure(error: BaseException) -> Failure:
    ours = error.__traceback__
    return Failure("".join(traceback.format_exception(type(error), error, ours and ours.tb_next)))


def _hung(error: BaseException, limit: Limit, limit_s: float | None) -> Failure:
    """The call passed its own limit; where it is the run's time that is up, that goes on its way."""
    if isinstance(error, OutOfTime) and error.limit is not limit:
        raise error
    limit.lift()
    lines = _failure(error).traceback.splitlines(keepends=True)
    return Failure(
        "".join(lines[:-1])
        + f"TimeoutError: it took longer than {limit_s:.3g} s (limit_s is for a step's calls together)\n"
    )


def _awaited(pending: Sequence[Awaitable[object]], limit_s: float | None) -> list[object | Failure]:
    """The results of coroutines that run side by side; in a notebook, where a loop runs already, in another thread."""

    def run() -> list[object | Failure]:
        # The alarm is for code that blocks or will not end.
        with wall_clock_limit(None if limit_s is None else limit_s + 1) as limit:

            async def one(coroutine: Awaitable[object]) -> object | Failure:
                late = None
                try:
                    async with asyncio.timeout(limit_s) as late:
                        return await coroutine
                except TinaError:
                    raise
                except (Exception, SystemExit) as error:
                    return _hung(error, limit, limit_s) if late and late.expired() else _failure(error)
                except OutOfTime as error:
                    return _hung(error, limit, limit_s)

            async def everything() -> list[object | Failure]:
                return await asyncio.gather(*map(one, pending))

            try:
                return asyncio.run(everything())
            except OutOfTime as error:
                return [_hung(error, limit, limit_s)] * len(pending)

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return run()
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(run).result()


def _spread(outcome: object | Failure, count: int) -> list[object]:
    """A call's list of `count` values; a Failure for each where it failed or gave anything else."""
    if isinstance(outcome, Failure):
        return [outcome] * count
    if isinstance(outcome, str | bytes | Mapping) or not hasattr(outcome, "__iter__"):
        complaint = f"TypeError: a reward function gives a list of float or None, not {repr(outcome)}"
        return [Failure(complaint)] * count
    values = list(outcome)
    if len(values) != count:
        return [Failure(f"ValueError: {len(values)} rewards for {count} completions")] * count
    return values
