"""What an update is computed in: rows packed into micro-batches, and what adds up over them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

import torch
from torch import Tensor

from tina_lite.grpo import LossWeights
from tina_lite.policy.interface import TokenBatch
from tina_lite.recipe.schema import GrpoSection
from tina_lite.records import Completion, Prompt, ScoredGroup, Update


@dataclass(frozen=True, slots=True)
class Row:
    """A completion that takes a forward and a backward pass."""

    prompt: Prompt
    completion: Completion
    advantage: float

    @property
    def tokens(self) -> int:
        return len(self.prompt.ids) + len(self.completion.ids)


@dataclass(slots=True)
class Old:
    """Log-probs before the first of the iterations, (T,) for each row."""

    logprobs: list[Tensor] = field(default_factory=list)
    """With the dropout of this step, for ratios."""
    undropped: list[Tensor] = field(default_factory=list)
    """Without, for importance weights; empty where nothing is dropped or none are taken."""

    def padded(self, rows: list[Tensor], at: int, count: int) -> Tensor:
        """(count, T)."""
        return torch.nn.utils.rnn.pad_sequence(rows[at : at + count], batch_first=True)


@dataclass(slots=True)
class Lesson:
    """What an update learns from."""

    rows: list[list[Row]]
    """By prompt, longest first, so that a budget that is too large shows at once."""
    weights: LossWeights
    seed: int
    """Of dropout."""
    old: Old = field(default_factory=Old)

    @classmethod
    def of(cls, groups: Sequence[ScoredGroup], grpo: GrpoSection, max_completion_length: int, seed: int) -> "Lesson":
        """Every group counts in the weights, those with a gradient become rows."""
        completions = [c for scored in groups for c in scored.group.completions if not _masked(c, grpo)]
        tokens = sum(len(completion.ids) for completion in completions)
        count = sum(len(scored.group.completions) for scored in groups)
        found = [sorted(_rows(scored, grpo), key=lambda row: -row.tokens) for scored in groups]
        rows = sorted(filter(None, found), key=lambda rows: -rows[0].tokens)
        return cls(rows, LossWeights(grpo.loss_type, count, tokens, max_completion_length), seed)


def takes_part(group: ScoredGroup, grpo: GrpoSection) -> bool:
    """False where a group has no gradient."""
    return group.teaches or grpo.beta > 0


def _rows(scored: ScoredGroup, grpo: GrpoSection) -> list[Row]:
    if not takes_part(scored, grpo):
        return []
    pairs = zip(scored.group.completions, scored.advantages, strict=True)
    return [Row(scored.group.prompt, c, advantage) for c, advantage in pairs if not _masked(c, grpo)]


def _masked(completion: Completion, grpo: GrpoSection) -> bool:
    return grpo.mask_truncated_completions and completion.truncated


@dataclass(slots=True)
class Packer:
    """Rows into micro-batches under a token budget."""

    budget: int
    shares_prompts: bool
    batches: list[list[Row]] = field(default_factory=list)
    _tokens: int = 0
    """Of the last batch."""

    def add(self, rows: Sequence[Row]) -> None:
        """The rows of one prompt: together where they fit, or the prompt would be computed twice."""
        together = self._cost(rows)
        if not self.batches or self._tokens + together > self.budget:
            self._open()
        for row in rows:
            cost = self._cost([row], known=bool(self.batches[-1]) and self.batches[-1][-1].prompt is row.prompt)
            if self.batches[-1] and self._tokens + cost > self.budget:
                self._open()
                cost = self._cost([row])
            self.batches[-1].append(row)
            self._tokens += cost

    def _open(self) -> None:
        if not self.batches or self.batches[-1]:
            self.batches.append([])
        self._tokens = 0

    def _cost(self, rows: Sequence[Row], known: bool = False) -> int:
        """Tokens that these rows of one prompt add; `known`: the prompt is there already."""
        prompts = (0 if known else 1) if self.shares_prompts else len(rows)
        return prompts * len(rows[0].prompt.ids) + sum(len(row.completion.ids) for row in rows)


def token_batch(rows: Sequence[Row]) -> TokenBatch:
    """Consecutive rows of one prompt under that prompt."""
    groups = [list(group) for _, group in groupby(rows, key=lambda row: id(row.prompt))]
    return TokenBatch(
        tuple(group[0].prompt.ids for group in groups),
        tuple(tuple(row.completion.ids for row in group) for group in groups),
    )


@dataclass(slots=True)
class Sums:
    """What adds up over micro-batches."""

    loss: float = 0.0
    tokens: int = 0
    entropy: float = 0.0
    difference: float = 0.0
    clipped: float = 0.0

    @classmethod
    def seen(cls, tokens: int, figures: Sequence[Tensor]) -> "Sums":
        """Of one micro-batch: loss, entropy, difference and clipped tokens, from where they were computed.

        The one wait for the device: without it the clock would be asked when work is queued, not when it is done.
        """
        loss, entropy, difference, clipped = torch.stack([figure.double() for figure in figures]).tolist()
        return cls(loss, tokens, entropy, difference, clipped)

    def update(self, norm: float, learning_rate: float, trained_tokens: int, skipped_groups: int) -> Update:
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
        )

    def add(self, other: "Sums") -> None:
        self.loss += other.loss
        self.tokens += other.tokens
        self.entropy += other.entropy
        self.difference += other.difference
        self.clipped += other.clipped


def padded(values: Sequence[Sequence[float]], width: int, device: torch.device) -> Tensor:
    """Ragged rows as (n, width) float32, 0 on the right."""
    rows = [list(row) + [0.0] * (width - len(row)) for row in values]
    return torch.tensor(rows, dtype=torch.float32, device=device)
