"""What must survive the end of a process: whoever has it offers it as plain JSON, and takes it back."""

from dataclasses import dataclass, fields
from functools import cache
from typing import Annotated, Any, Literal, Protocol, runtime_checkable

from pydantic import AliasChoices, BeforeValidator, Field, TypeAdapter


@runtime_checkable
class Stateful(Protocol):
    """Collected by name (runs/checkpoint_manager.py): a new one needs no change elsewhere."""

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

    def load_state(self, state: Any) -> None:
        loaded = adapter(type(self)).validate_python(state)
        for field in fields(self):  # type: ignore[arg-type]
            setattr(self, field.name, getattr(loaded, field.name))


def read_as(*names: str) -> Any:
    """Read a field under its name or its earlier ones, which checkpoints of earlier versions hold."""
    return Field(validation_alias=AliasChoices(*names))


Activations = Annotated[
    Literal["stored", "recomputed", "offloaded"], BeforeValidator(lambda found: "stored" if found == "kept" else found)
]
"""What the backward pass finds: all of it; each layer's input, the rest computed again; that input in main memory."""


Product = Literal["gate_up", "down"]
"""Of an MLP, that a decode step may multiply in 4 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedRuntime:
    """A resumed run goes on with it, whatever is free then."""

    dense_copy: Annotated[bool, read_as("dense_copy", "resident")]
    """Whether the engine keeps a dense copy of the base, but for the products that are in 4 bits."""
    in_4_bits: tuple[Product, ...] = ()
    kv_tokens: Annotated[int, Field(ge=0)]
    """Of the sampler's cache, over all rows; 0 where the cache is not its own."""
    micro_batch_tokens: Annotated[int, Field(ge=1)]
    activations: Activations
    """What of a layer the backward pass finds."""
    chunk_elements: Annotated[int, Field(ge=1)]
    """Logits held at once by the learner."""
