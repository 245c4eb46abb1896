"""What free memory decided when a run began."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

Activations = Literal["kept", "recomputed", "offloaded"]
"""What the backward pass finds: all of it; each layer's input, the rest computed again; that input in main memory."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A resumed run goes on with it, whatever is free then."""

    resident: bool
    """Whether the engine keeps a dense copy of the base."""
    kv_tokens: Annotated[int, Field(ge=0)]
    """Of the sampler's cache, over all rows; 0 where the cache is not its own."""
    micro_batch_tokens: Annotated[int, Field(ge=1)]
    activations: Activations
    """What of a layer the backward pass finds."""
    chunk_elements: Annotated[int, Field(ge=1)]
    """Logits held at once by the learner."""
