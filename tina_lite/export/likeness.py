"""How far an export's logits are from those of the run that it was made from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tina_lite.data.chat_template import encode, render

if TYPE_CHECKING:
    from torch import Tensor

    from tina_lite.policy import Policy

QUESTIONS = (
    "What is 17 + 25?",
    "Sam has 12 pens. Sam buys 9. How many pens now?",
    "A train covers 180 km in 2 hours. How far does it go in 5 hours?",
    "Solve 3x + 7 = 40 for x.",
)
LENGTH = 32
"""Tokens of the answer to each."""


@dataclass(frozen=True, slots=True)
class Reference:
    """What the run itself says."""

    prompts: "list[tuple[int, ...]]"
    answers: list[list[int]]
    """LENGTH token ids each, greedy; past the end of the text too."""
    logits: "Tensor"
    """(N, LENGTH, V) float32: before each token of the answers."""


@dataclass(frozen=True, slots=True)
class LogitDifference:
    """How far an export is from the run."""

    largest_difference: float
    """Of two logits."""
    same: int
    """Tokens at which both call the same one likeliest."""
    tokens: int

    def __str__(self) -> str:
        return (
            f"largest logit difference to base + adapter {self.largest_difference:.2g}, "
            f"the same likeliest token at {self.same} of {self.tokens}"
        )


def reference(policy: "Policy") -> Reference:
    """Give the answers of the policy's own decoder."""
    import torch

    chats = [[{"role": "user", "content": question}] for question in QUESTIONS]
    prompts = [encode(policy.tokenizer, render(policy.tokenizer, chat)) for chat in chats]
    decoder = policy.decoder(len(prompts), max(map(len, prompts)) + LENGTH)
    prefixes = decoder.prefill(prompts)
    decoder.admit(prefixes)
    logits = [torch.stack([prefix.logits for prefix in prefixes])]
    while len(logits) < LENGTH:
        logits.append(decoder.step(logits[-1].argmax(-1)))
    stacked = torch.stack(logits, dim=1).cpu()
    return Reference(prompts, stacked.argmax(-1).tolist(), stacked)


def logit_difference(expected: Reference, next_logits: "Callable[[Sequence[int]], Tensor]") -> LogitDifference:
    """`next_logits` gives an export's logits after each token of a sequence, (T, V)."""
    largest, same = 0.0, 0
    for prompt, answer, logits in zip(expected.prompts, expected.answers, expected.logits, strict=True):
        found = next_logits([*prompt, *answer[:-1]])[len(prompt) - 1 :]
        largest = max(largest, float((found - logits).abs().max()))
        same += int((found.argmax(-1) == logits.argmax(-1)).sum())
    return LogitDifference(largest, same, len(expected.prompts) * LENGTH)
