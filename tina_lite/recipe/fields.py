"""The kinds of value that fields of a recipe have, and what is checked of them beside their type."""

import math
import re
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
)

from tina_lite.budget.conditions import Condition, seconds_until
from tina_lite.util.as_typed import as_list, as_name, as_names
from tina_lite.util.errors import BadInput
from tina_lite.util.where import Where

NAME = re.compile(r"[^\W_]([\w .+=-]*[\w+=-])?")
LONGEST_NAME = 200
"""Bytes; a file system allows 255, and a number may follow."""


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def finite(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("a number is needed, not true or false")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a finite number is needed")
    return value


def _readable(where: str) -> str:
    try:
        Where(where)
    except BadInput as error:
        raise ValueError(str(error).removeprefix("data.where: ")) from None
    return where


def _in_order(lengths: tuple[int, int]) -> tuple[int, int]:
    if not 1 <= lengths[0] <= lengths[1]:
        raise ValueError("needs [shortest, longest] in tokens, such as [100, 4000]")
    return lengths


def _names_a_folder(name: str) -> str:
    if not NAME.fullmatch(name) or len(name.encode()) > LONGEST_NAME:
        raise ValueError(
            "it names a folder: begin with a letter or digit, go on with those, spaces and . _ - + =, "
            f"at most {LONGEST_NAME} bytes"
        )
    return name


NAMED_NATIVE = BeforeValidator(lambda name: "native" if name in ("portable", "own") else name)
"""What earlier versions called the engine of our own, for model and for rollout."""


def _checked_by(read: Callable[[str], object]) -> AfterValidator:
    """Text that something must be able to read; it stays text."""

    def check(text: str) -> str:
        read(text)
        return text

    return AfterValidator(check)


def one_fault(value: Any, check: ValidatorFunctionWrapHandler) -> Any:
    """Give one message for the union instead of one for each of its branches."""
    try:
        return check(value)
    except ValidationError:
        raise ValueError(
            "needs auto, a number of US dollars per hour, or {watts: W or auto, usd_per_kwh: P}; none below 0"
        ) from None


Number = Annotated[float, BeforeValidator(finite), AfterValidator(finite)]  # after: the word inf is a float too
Count = Annotated[int, BeforeValidator(finite)]
Words = Annotated[tuple[str, ...], BeforeValidator(as_list)]
Names = Annotated[tuple[str, ...], BeforeValidator(as_names)]
Texts = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...],
    BeforeValidator(lambda given: [given] if isinstance(given, str) else given),
]
FolderName = Annotated[str, BeforeValidator(as_name), AfterValidator(_names_a_folder)]
Rows = Annotated[str, AfterValidator(_readable)]
Lengths = Annotated[tuple[Count, Count], AfterValidator(_in_order)]
Moment = Annotated[str, _checked_by(lambda text: seconds_until(text, datetime.now()))]
MetricBound = Annotated[str, _checked_by(Condition.parse)]
