"""What the sampler and the learner may ask of an engine.

The sampler owns scheduling and randomness, the learner owns the mathematics, the engine owns speed. Letters in
shapes: N sequences, P and T prompt and completion tokens, V vocabulary.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor, device
    from torch.nn import Parameter

    from tina_lite.policy.memory import MemoryLayout
    from tina_lite.policy.vllm import Vllm
    from tina_lite.recipe.schema import DtypeName


@dataclass(frozen=True, slots=True)
class Prefix:
    """A prompt that has been read once: what a decoder needs to go on from it, any number of times."""

    length: int
    """P, prompt tokens."""
    logits: "Tensor"
    """(V,) float32, for the first completion token."""
    cache: Any
    """The engine's own keys and values."""


class Decoder(Protocol):
    """Decodes a batch of sequences that grow by one token at a time."""

    def prefill(self, prompts: Sequence[Sequence[int]]) -> list[Prefix]:
        """Read prompts, each once."""
        ...

    def admit(self, prefixes: Sequence[Prefix]) -> None:
        """Append one sequence for each prefix, behind the sequences that are there."""
        ...

    def step(self, tokens: "Tensor") -> "Tensor":
        """Feed one token to every sequence, (N,) int64; returns the next logits (N, V) float32."""
        ...

    def keep(self, sequences: "Tensor") -> None:
        """Go on with these sequences in this order, (M,) int64; drop the others."""
        ...


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """Completions under their prompts; a prompt that several completions share stands once.

    The N completions, in order, are the sequences of every (N, T) tensor; T is the longest of them.
    """

    prompts: tuple[Sequence[int], ...]
    completions: tuple[tuple[Sequence[int], ...], ...]
    """Those of each prompt; each has at least one token."""

    @property
    def sequences(self) -> list[tuple[Sequence[int], Sequence[int]]]:
        """The (prompt, completion) of each sequence."""
        pairs = zip(self.prompts, self.completions, strict=True)
        return [(prompt, completion) for prompt, group in pairs for completion in group]

    def completion_lengths(self) -> "Tensor":
        """Give the length of each completion, (N,) int64."""
        import torch

        return torch.tensor([len(completion) for group in self.completions for completion in group])

    def completion_mask(self) -> "Tensor":
        """Mark the places where a completion has a token, (N, T) bool."""
        import torch

        lengths = self.completion_lengths()
        return torch.arange(int(lengths.max())) < lengths[:, None]


class Policy(Protocol):
    """Is a frozen base with a LoRA adapter that learns."""

    tokenizer: Any
    device: "device"
    stop_ids: frozenset[int]
    """Tokens that end a completion."""
    dtype_name: "DtypeName"
    """What activations are computed in."""
    layout: "MemoryLayout"
    """What is kept where."""
    shares_prompts: bool
    """Whether `logprobs` reads the prompt of a group once, or once a completion."""
    base_name: str
    """Under which transformers finds the base again."""
    vllm: "Vllm | None"
    """vLLM on the same weights, where rollouts are to be its."""

    def decoder(self, max_sequences: int, max_tokens: int) -> Decoder:
        """Make a decoder for at most so many sequences of at most so many tokens, prompt included."""
        ...

    def logprobs(self, batch: TokenBatch, temperature: float, adapter: bool = True) -> tuple["Tensor", "Tensor"]:
        """Log-probs in nats and entropies of the completion tokens, both (N, T) float32, 0 in the padding.

        The log-probs carry gradient where autograd is on; the entropies never do. No tensor of N x T x V is held.
        """
        ...

    def trainable(self) -> dict[str, "Parameter"]:
        """Give the adapter's tensors by name."""
        ...

    def adapter_norm(self) -> float:
        """Norm of what the adapter adds to the base's weights, as a share of theirs; NaN where that is not known."""
        ...

    def sync(self) -> None:
        """After an update: the sampling weights equal the training weights."""
        ...

    def training(self) -> AbstractContextManager[None]:
        """Turn dropout on, for the learner's forward passes."""
        ...

    def save_adapter(self, folder: Path) -> None:
        """Write plain PEFT layout: adapter_config.json, adapter_model.safetensors."""
        ...
