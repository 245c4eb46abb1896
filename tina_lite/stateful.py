"""What must survive the end of a process: whoever has it offers it as plain JSON, and takes it back."""

from dataclasses import fields
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from pydantic import TypeAdapter

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


@runtime_checkable
class Stateful(Protocol):
    """Collected by name (runs/keeper.py): a new one needs no change elsewhere."""

    def state(self) -> Any:
        """Plain JSON."""
        ...

    def load_state(self, state: Any) -> None:
        """Go on from `state`. ValidationError of pydantic where it is none, and nothing is changed then."""
        ...


adapter: Any = cache(TypeAdapter)
"""Of a type: what reads and writes it; making one takes milliseconds."""


class Fields:
    """For dataclasses all of whose fields are state."""

    __slots__ = ()

    def state(self) -> Any:
        return adapter(type(self)).dump_python(self, mode="json")

    def load_state(self: "DataclassInstance", state: Any) -> None:
        loaded = adapter(type(self)).validate_python(state)
        for field in fields(self):
            setattr(self, field.name, getattr(loaded, field.name))
