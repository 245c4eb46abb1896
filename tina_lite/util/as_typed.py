"""What people type where a recipe wants a list, a name or a number, as the value that they mean."""

import re
from collections.abc import Mapping
from datetime import date
from typing import Any

DECIMAL_COMMA = re.compile(r"\s*[+-]?\d+,\d+(e[+-]?\d+)?\s*", re.IGNORECASE)


def as_list(value: Any) -> Any:
    """Read one text as the list of its words.

    >>> as_list("q_proj, v_proj"), as_list("all-linear"), as_list(["a"])
    (['q_proj', 'v_proj'], ['all-linear'], ['a'])
    """
    return [word for word in re.split(r"[\s,]+", value) if word] if isinstance(value, str) else value


def as_names(value: Any) -> Any:
    """The same, for names that may hold a space.

    >>> as_names("held_out, my test.jsonl")
    ['held_out', 'my test.jsonl']
    """
    return [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else value


def as_rewards(value: Any) -> Any:
    """Read one reward, or several by name, as a list of them.

    >>> as_rewards("accuracy"), as_rewards({"name": "cosine", "weight": 2})
    (['accuracy'], [{'name': 'cosine', 'weight': 2}])
    """
    if isinstance(value, Mapping):
        if "name" not in value:
            listed = ", ".join(f"{{name: {name}, weight: {weight}}}" for name, weight in value.items())
            raise ValueError(f"write it as a list: [{listed}]")
        return [value]
    if any(map(callable, value if isinstance(value, list | tuple) else [value])):
        raise ValueError(
            "a recipe names a function, as file.py:function; the function itself is for run(rewards=[...])"
        )
    return as_names(value)


def as_name(value: Any) -> Any:
    """A number or a date, as YAML reads some names."""
    return str(value) if isinstance(value, int | float | date) and not isinstance(value, bool) else value


def with_point(text: object) -> str:
    """A hint where a number has a decimal comma; else empty.

    >>> with_point("1,0e-6"), with_point("5"), with_point(5)
    ('; write it with a point: 1.0e-6', '', '')
    """
    if isinstance(text, str) and DECIMAL_COMMA.fullmatch(text):
        return f"; write it with a point: {text.strip().replace(',', '.')}"
    return ""


def looks_like_digits(text: str) -> bool:
    """Say whether a text may be meant as a number.

    >>> looks_like_digits("0e-6"), looks_like_digits("00"), looks_like_digits("r")
    (True, True, False)
    """
    return re.fullmatch(r"\d+(\.\d+)?(e[+-]?\d+)?", text, re.IGNORECASE) is not None
