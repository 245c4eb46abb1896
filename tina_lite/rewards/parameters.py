"""The settings of a reward function: its keyword-only parameters that have a default."""

import inspect
import types
import typing
from collections.abc import Callable, Mapping

from tina_lite.errors import BadInput, nearest


def settings(function: Callable[..., object]) -> dict[str, object]:
    """Each setting's type, from its annotation or else from its default.

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
