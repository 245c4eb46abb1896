"""The data that flows through a step.

Problem -> Prompt (token ids) -> Completion (ids, behaviour log-probs) -> Group -> ScoredGroup -> Update

Letters in shapes: B prompts, G completions a group, N = B x G sequences, P and T prompt and completion tokens, V words
of the vocabulary.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

FinishReason = Literal["stop", "length", "loop", "deadline"]
PhaseName = Literal["load", "rollout", "reward", "update", "eval", "save", "other"]
PHASES: tuple[PhaseName, ...] = ("load", "rollout", "reward", "update", "eval", "save", "other")
"""What a run spends time and money on."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A question with its gold answer."""

    index: int
    """Position in the source; with the seed it names the problem for good."""
    question: str
    answer: str
    columns: Mapping[str, Any]
    """The row's other columns; reward functions get them by name."""
    turns: tuple[Mapping[str, Any], ...] = ()
    """What was said before the question where the data holds chats: role and content, a system message included."""
    also: tuple[str, ...] = ()
    """Other answers that are right too, where the data names several."""
    verifier: Mapping[str, Any] | None = None
    """What judges an answer in place of the gold, which is then an example: see `answers.verifier.Verifier`."""

    @property
    def gold(self) -> str | list[str]:
        """What a completion is compared with: the answer, or a list of which any is right."""
        return [self.answer, *self.also] if self.also else self.answer


@dataclass(frozen=True, slots=True)
class Prompt:
    """A problem as the model sees it."""

    problem: Problem
    text: str
    ids: tuple[int, ...]
    """P token ids."""
    messages: tuple[Mapping[str, Any], ...] = ()
    """The conversation, system message and earlier turns included."""
    epoch: int = 0
    """Times that training has gone through all problems before this one was asked."""


@dataclass(frozen=True, slots=True)
class Completion:
    """One sampled answer."""

    ids: tuple[int, ...]
    """T token ids, the end-of-text token included where there was one."""
    logprobs: tuple[float, ...]
    """T behaviour log-probabilities in nats, under softmax(logits / temperature)."""
    text: str
    """Decoded without special tokens."""
    finish_reason: FinishReason

    @property
    def truncated(self) -> bool:
        return self.finish_reason != "stop"


@dataclass(frozen=True, slots=True)
class Group:
    """G completions of one prompt."""

    prompt: Prompt
    completions: tuple[Completion, ...]


@dataclass(frozen=True, slots=True)
class ScoredGroup:
    """A group with what it is worth."""

    group: Group
    rewards: Mapping[str, tuple[float | None, ...]]
    """By reward name, G values before weighting; None where a reward could not judge."""
    totals: tuple[float, ...]
    """G weighted sums."""
    advantages: tuple[float, ...] = ()
    """G advantages (DeepSeekMath, arXiv 2402.03300, section 4.1), once all groups of the step are there."""

    @property
    def teaches(self) -> bool:
        """False where every advantage is 0: such a group has no gradient."""
        return any(advantage != 0.0 for advantage in self.advantages)


@dataclass(frozen=True, slots=True)
class Update:
    """What one optimiser step did."""

    loss: float
    grad_norm: float
    """Euclidean norm over all adapter gradients, before clipping."""
    learning_rate: float
    trained_tokens: int
    """Completion tokens that took a backward pass."""
    skipped_groups: int
    """Groups without variance: no forward, no backward."""
    entropy: float
    """Mean entropy in nats of the policy at the trained tokens."""
    logp_difference: float
    """Mean |behaviour - learner| log-prob over the trained tokens, nats."""
    clip_fraction: float
    """Share of trained tokens whose ratio was clipped."""
    kl: float | None = None
    """Mean k3 at the trained tokens, nats; None where no reference was asked."""
    saved_tokens: int = 0
    """Completion tokens that would have taken one, had `grpo.update_completions` not left them out."""
    adapter_norm: float = math.nan
    """After the step, as a share of the base's."""

    @property
    def finite(self) -> bool:
        """False where the step was not taken, as a number was NaN or infinite."""
        return all(map(math.isfinite, (self.loss, self.grad_norm, self.entropy, self.logp_difference)))


@dataclass(frozen=True, slots=True)
class EvalResult:
    """Sampled Pass@1 on a benchmark."""

    benchmark: str
    pass_at_1: float
    """Mean over problems of the share of right samples."""
    ci95: tuple[float, float]
    """95%, problems as the unit."""
    problems: int
    samples: int
    """Samples a problem."""
    mean_length: float
    """Completion tokens."""


def with_nan(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Metrics as they were before `without_nan`: null is NaN again."""
    return {name: math.nan if value is None else value for name, value in metrics.items()}


def without_nan(value: Any) -> Any:
    """Give plain values as JSON can hold them: NaN and infinity, which it lacks, become null."""
    if isinstance(value, Mapping):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
