"""What an update is computed in: examples packed into micro-batches, and what adds up over them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from random import Random

import torch
from torch import Tensor

from tina_lite.grpo import LossWeights
from tina_lite.policy.interface import TokenBatch
from tina_lite.recipe.schema import GrpoSection
from tina_lite.train.thinning import thinned
from tina_lite.util.records import Completion, Prompt, ScoredGroup, Update


@dataclass(frozen=True, slots=True)
class TrainExample:
    """A completion that takes a forward and a backward pass."""

    prompt: Prompt
    completion: Completion
    advantage: float
    weight: float = 1.0
    """In the loss: it stands for so many of its group."""

    @property
    def tokens(self) -> int:
        return len(self.prompt.ids) + len(self.completion.ids)


@dataclass(slots=True)
class UpdateBatch:
    """Holds what an update learns from."""

    examples: list[list[TrainExample]]
    """By prompt, longest first, so that a budget that is too large shows at once."""
    weights: LossWeights
    seed: int
    """Of dropout."""
    saved_tokens: int
    """Of completions with a gradient that were not chosen."""
    old_logprobs: list[Tensor] = field(default_factory=list)
    """Before the first of the iterations, (T,) for each example: with the dropout of this step, for ratios."""
    old_logprobs_no_dropout: list[Tensor] = field(default_factory=list)
    """Without, for importance weights; empty where nothing is dropped or none are taken."""

    @classmethod
    def of(
        cls, groups: Sequence[ScoredGroup], grpo: GrpoSection, max_completion_length: int, seed: int
    ) -> "UpdateBatch":
        """Every completion counts in the weights; those of groups with a gradient become examples, or some of them."""
        completions = [c for scored in groups for c in scored.group.completions if not _masked(c, grpo)]
        tokens = sum(len(completion.ids) for completion in completions)
        count = sum(len(scored.group.completions) for scored in groups)
        every = [_examples(scored, grpo) for scored in groups]
        chosen = [_some(group, grpo, Random(f"{seed}/{place}")) for place, group in enumerate(every)]
        found = [sorted(group, key=lambda example: -example.tokens) for group in chosen]
        examples = sorted(filter(None, found), key=lambda examples: -examples[0].tokens)
        saved = _completion_tokens(every) - _completion_tokens(chosen)
        return cls(examples, LossWeights(grpo.loss_type, count, tokens, max_completion_length), seed, saved)


def takes_part(group: ScoredGroup, grpo: GrpoSection) -> bool:
    """False where a group has no gradient."""
    return group.teaches or grpo.beta > 0


def _examples(scored: ScoredGroup, grpo: GrpoSection) -> list[TrainExample]:
    """All of a group that have a gradient."""
    if not takes_part(scored, grpo):
        return []
    pairs = zip(scored.group.completions, scored.advantages, strict=True)
    return [TrainExample(scored.group.prompt, c, advantage) for c, advantage in pairs if not _masked(c, grpo)]


def _some(examples: list[TrainExample], grpo: GrpoSection, draw: Random) -> list[TrainExample]:
    """Those of them that the update learns from."""
    if grpo.update_completions is None or len(examples) <= grpo.update_completions:
        return examples
    advantages = [example.advantage for example in examples]
    weights = thinned(advantages, grpo.update_completions, draw, all_matter=grpo.beta > 0)
    return [replace(examples[place], weight=weight) for place, weight in weights.items()]


def _completion_tokens(groups: Sequence[Sequence[TrainExample]]) -> int:
    return sum(len(example.completion.ids) for examples in groups for example in examples)


def _masked(completion: Completion, grpo: GrpoSection) -> bool:
    return grpo.mask_truncated_completions and completion.truncated


@dataclass(frozen=True, slots=True)
class _Extent:
    """What a micro-batch takes, in tokens that are padded to the longest: attention holds them so."""

    prompts: int = 0
    longest_prompt: int = 0
    examples: int = 0
    longest_completion: int = 0
    longest_example: int = 0

    def with_examples(self, examples: Sequence[TrainExample], new_prompt: bool) -> "_Extent":
        """Rows of one prompt, which is there already or is new."""
        return _Extent(
            self.prompts + new_prompt,
            max(self.longest_prompt, len(examples[0].prompt.ids)),
            self.examples + len(examples),
            max(self.longest_completion, *(len(example.completion.ids) for example in examples)),
            max(self.longest_example, *(example.tokens for example in examples)),
        )

    def tokens(self, shares_prompts: bool) -> int:
        """Of prompts once and of completions, or of examples that hold both."""
        if not shares_prompts:
            return self.examples * self.longest_example
        return self.prompts * self.longest_prompt + self.examples * self.longest_completion


@dataclass(slots=True)
class Packer:
    """Packs examples into micro-batches under a token budget, padding included."""

    budget: int
    shares_prompts: bool
    batches: list[list[TrainExample]] = field(default_factory=list)
    _extent: _Extent = _Extent()
    """Of the last batch."""

    def add(self, examples: Sequence[TrainExample]) -> None:
        """The examples of one prompt: together where they fit, or the prompt would be computed twice."""
        if not self.batches or not self._fits(self._extent.with_examples(examples, new_prompt=True)):
            self._open()
        for example in examples:
            last = self.batches[-1]
            extent = self._extent.with_examples([example], new_prompt=not (last and last[-1].prompt is example.prompt))
            if last and not self._fits(extent):
                self._open()
                extent = self._extent.with_examples([example], new_prompt=True)
            self.batches[-1].append(example)
            self._extent = extent

    def _fits(self, extent: _Extent) -> bool:
        return extent.tokens(self.shares_prompts) <= self.budget

    def _open(self) -> None:
        if not self.batches or self.batches[-1]:
            self.batches.append([])
        self._extent = _Extent()


def token_batch(examples: Sequence[TrainExample]) -> TokenBatch:
    """Put consecutive examples of one prompt under that prompt."""
    groups = [list(group) for _, group in groupby(examples, key=lambda example: id(example.prompt))]
    return TokenBatch(
        tuple(group[0].prompt.ids for group in groups),
        tuple(tuple(example.completion.ids for example in group) for group in groups),
    )


@dataclass(slots=True)
class Sums:
    """What adds up over micro-batches."""

    loss: float = 0.0
    tokens: int = 0
    entropy: float = 0.0
    difference: float = 0.0
    clipped: float = 0.0
    kl: float = 0.0

    @classmethod
    def seen(cls, tokens: int, figures: Sequence[Tensor]) -> "Sums":
        """Of one micro-batch: loss, entropy, difference, clipped tokens and k3, from where they were computed.

        The one wait for the device: without it the clock would be asked when work is queued, not when it is done.
        """
        loss, *others = torch.stack([figure.double() for figure in figures]).tolist()
        return cls(loss, tokens, *others)

    def update(
        self, norm: float, learning_rate: float, trained_tokens: int, skipped_groups: int, *, reference: bool
    ) -> Update:
        tokens = max(self.tokens, 1)
        return Update(
            loss=self.loss,
            grad_norm=norm,
            learning_rate=learning_rate,
            trained_tokens=trained_tokens,
            skipped_groups=skipped_groups,
            entropy=self.entropy / tokens,
            logp_difference=self.difference / tokens,
            clip_fraction=self.clipped / tokens,
            kl=self.kl / tokens if reference else None,
        )

    def add(self, other: "Sums") -> None:
        self.loss += other.loss
        self.tokens += other.tokens
        self.entropy += other.entropy
        self.difference += other.difference
        self.clipped += other.clipped
        self.kl += other.kl


def padded(values: Sequence[Sequence[float]], width: int, device: torch.device) -> Tensor:
    """Pad ragged values to (n, width) float32, 0 on the right."""
    examples = [list(example) + [0.0] * (width - len(example)) for example in values]
    return torch.tensor(examples, dtype=torch.float32, device=device)
