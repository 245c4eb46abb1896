"""One GRPO update from scored groups.

Groups without variance take no forward and no backward pass: their advantages are 0, so their gradient is. The rest
is cut into micro-batches by a token budget, which changes memory and not the gradient: every divisor is a count over
the whole step. Where memory does not suffice for a micro-batch, the pass is done again from no gradients with half the
budget: the same gradient to rounding without dropout, an equally good one with it, as masks are drawn by micro-batch.

An update can be taken back until the next one: what is given up or fails half-way leaves weights and moments as they
were.

The adapter's tensors are bf16; AdamW works on fp32 masters of them, or an update of 1e-6 on a weight near 0.02 would be
lost to rounding.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING

import torch

from tina_lite.errors import BadInput, NoRoom
from tina_lite.grpo import LossSettings, LossWeights, token_losses
from tina_lite.memory import with_less_each_time
from tina_lite.policy.interface import Policy, TokenBatch
from tina_lite.records import Completion, Prompt, ScoredGroup, Update
from tina_lite.wall_clock import OutOfTime

if TYPE_CHECKING:
    from torch import Tensor


MOMENTS = ("step", "exp_avg", "exp_avg_sq")
"""What AdamW keeps of each master."""


@dataclass(frozen=True, slots=True)
class UpdateSettings:
    """What shapes an update beside the loss."""

    mask_truncated_completions: bool
    temperature: float
    """At which log-probs are taken: the sampler's."""
    max_completion_length: int
    num_iterations: int
    """Optimiser steps on one rollout."""
    micro_batch_tokens: int
    dropout: float = 0.0
    """Of the adapter."""


@dataclass(frozen=True, slots=True)
class OptimizerSettings:
    adam_beta1: float
    adam_beta2: float
    weight_decay: float
    max_grad_norm: float


@dataclass(frozen=True, slots=True)
class _Row:
    """A completion that takes a forward and a backward pass."""

    prompt: Prompt
    completion: Completion
    advantage: float

    @property
    def tokens(self) -> int:
        return len(self.prompt.ids) + len(self.completion.ids)


class Learner:
    """Holds the fp32 masters and their optimiser; `update` is one step."""

    def __init__(
        self,
        policy: Policy,
        loss: LossSettings,
        settings: UpdateSettings,
        optimizer: OptimizerSettings,
        *,
        seed: int,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        """`say` is told where memory did not suffice for a micro-batch, and smaller ones are taken from then on."""
        self._policy = policy
        self._loss = loss
        self._settings = settings
        self.micro_batch_tokens = settings.micro_batch_tokens
        self._max_grad_norm = optimizer.max_grad_norm
        self._seed = seed
        self._say = say
        self._before: dict[str, Tensor] | None = None
        """What `undo` goes back to: in main memory, as the card's is scarce."""
        self.updated_at = 0
        """The step of the last update, whether it came to its end or not."""
        self._check_time: Callable[[], bool] = lambda: False
        self._adapter = policy.trainable()
        self._masters = {name: tensor.detach().float().clone() for name, tensor in self._adapter.items()}
        self._optimizer = torch.optim.AdamW(
            list(self._masters.values()),
            betas=(optimizer.adam_beta1, optimizer.adam_beta2),
            weight_decay=optimizer.weight_decay,
            fused=True,  # one pass over each tensor
        )

    def update(
        self,
        groups: Sequence[ScoredGroup],
        learning_rate: float,
        step: int,
        progress: Callable[[int, int], None] = lambda done, total: None,
        out_of_time: Callable[[], bool] = lambda: False,
    ) -> Update:
        """One optimiser step for each iteration. A step that is not finite is not taken.

        `out_of_time` is asked before each micro-batch; once it says yes, OutOfTime is raised, and `undo` is due.
        """
        self._before = {name: tensor.detach().cpu().clone() for name, tensor in self.state().items()}
        self.updated_at, self._check_time = step, out_of_time
        rows = self._rows(groups)
        skipped = sum(not self._takes_part(group) for group in groups)
        weights = self._weights(groups)
        old = _Old()
        trained = 0
        seed = self._seed * 1_000_003 + step
        for _ in range(self._settings.num_iterations if rows else 1):
            sums = self._accumulate(rows, old, weights, seed, progress)
            norm = float(self._clip_gradients())
            trained += sums.tokens
            update = sums.update(norm, learning_rate, trained, skipped)
            if rows and update.finite:
                self._step(learning_rate)
            self._drop_gradients()
            if not update.finite:  # a step is taken whole: what earlier iterations moved goes back
                self._set(self._before)
                break
        return update

    def undo(self) -> None:
        """Take the last update back, or what was done of it; without one there is nothing to do."""
        if self._before is not None:
            self._drop_gradients()
            before, self._before = self._before, None
            self._set(before)

    def rehearse(self, groups: Sequence[ScoredGroup]) -> None:
        """The memory of an update on these groups: its largest micro-batch, beside the moments. Nothing changes."""
        rows = self._rows(groups)
        moments = [torch.zeros_like(master) for master in self._masters.values() for _ in range(2)]
        self._accumulate(rows, _Old(), self._weights(groups), self._seed, lambda done, total: None, first_alone=True)
        self._drop_gradients()
        del moments

    @property
    def state_bytes(self) -> int:
        """Of `state` once a step was taken: a master and two moments of each value."""
        return 3 * sum(master.nbytes for master in self._masters.values())

    def state(self) -> dict[str, "Tensor"]:
        """Masters and moments by name, for a checkpoint."""
        tensors = {f"master.{name}": tensor for name, tensor in self._masters.items()}
        for name, master in self._masters.items():
            for key, value in self._optimizer.state[master].items():
                tensors[f"{key}.{name}"] = value
        return tensors

    def load_state(self, tensors: Mapping[str, "Tensor"]) -> None:
        """Go on from `state`; the adapter and the sampling weights follow."""
        if not all(self._fits(name, tensors) for name in self._masters):
            raise BadInput(
                "the checkpoint does not fit this model, or holds numbers that are not finite; use the run's own recipe"
            )
        self._set(tensors)

    def _set(self, tensors: Mapping[str, "Tensor"]) -> None:
        with torch.no_grad():
            for name, master in self._masters.items():
                master.copy_(tensors[f"master.{name}"])
                moments = {key: tensors[f"{key}.{name}"] for key in MOMENTS if f"{key}.{name}" in tensors}
                self._optimizer.state[master] = {k: value.to(master.device, copy=True) for k, value in moments.items()}
        self._publish()

    def _fits(self, name: str, tensors: Mapping[str, "Tensor"]) -> bool:
        """Whether tensors hold this master, finite, and its moments: all of them, or none before the first step."""
        master, *moments = (tensors.get(f"{key}.{name}") for key in ("master", "exp_avg", "exp_avg_sq"))
        shape, step = self._masters[name].shape, tensors.get(f"step.{name}")
        if master is None or master.shape != shape or not master.isfinite().all():
            return False
        if step is None and moments == [None, None]:
            return True
        return step is not None and step.numel() == 1 and all(m is not None and m.shape == shape for m in moments)

    def _takes_part(self, group: ScoredGroup) -> bool:
        return group.teaches or self._loss.beta > 0

    def _rows(self, groups: Sequence[ScoredGroup]) -> list[list[_Row]]:
        """What is to be trained on, by prompt, longest first, so that a budget that is too large shows at once."""
        chosen = []
        for scored in groups:
            if not self._takes_part(scored):
                continue
            pairs = zip(scored.group.completions, scored.advantages, strict=True)
            rows = [_Row(scored.group.prompt, c, advantage) for c, advantage in pairs if not self._masked(c)]
            chosen.append(sorted(rows, key=lambda row: -row.tokens))
        return sorted(filter(None, chosen), key=lambda rows: -rows[0].tokens)

    def _masked(self, completion: Completion) -> bool:
        return self._settings.mask_truncated_completions and completion.truncated

    def _weights(self, groups: Sequence[ScoredGroup]) -> LossWeights:
        completions = [completion for scored in groups for completion in scored.group.completions]
        tokens = sum(len(completion.ids) for completion in completions if not self._masked(completion))
        return LossWeights(self._loss.loss_type, len(completions), tokens, self._settings.max_completion_length)

    def _micro_batches(self, groups: Sequence[Sequence[_Row]]) -> list[list[_Row]]:
        """Consecutive rows whose tokens fit the budget; a row that alone is larger goes alone."""
        packer = _Packer(self.micro_batch_tokens, self._policy.shares_prompts)
        for rows in groups:
            packer.add(rows)
        return packer.batches

    def _accumulate(
        self,
        groups: Sequence[Sequence[_Row]],
        old: "_Old",
        weights: LossWeights,
        seed: int,
        progress: Callable[[int, int], None],
        first_alone: bool = False,
    ) -> "_Sums":
        """Gradients of one whole pass, or of its first micro-batch alone; fills `old` where it is empty."""
        filled = len(old.logprobs)

        def attempt() -> _Sums:
            sums, batches = _Sums(), self._micro_batches(groups)
            if not filled and self._loss.tis_cap and self._settings.dropout:
                old.undropped = self._without_dropout(batches)
            # Dropout: the same masks in every iteration, or ratios would measure the noise between two of them.
            torch.manual_seed(seed % 2**63)
            with self._policy.training():
                at = 0
                for index, batch in enumerate(batches[:1] if first_alone else batches):
                    if self._check_time():
                        raise OutOfTime
                    sums.add(self._backward(batch, at, old, weights))
                    at += len(batch)
                    progress(index + 1, len(batches))
            return sums

        def less(error: BaseException) -> None:
            del old.logprobs[filled:]
            self._drop_gradients()
            self._halve_budget(self._micro_batches(groups), error)

        return with_less_each_time(attempt, less)

    def _halve_budget(self, batches: Sequence[Sequence[_Row]], error: BaseException) -> None:
        largest = max(sum(row.tokens for row in batch) for batch in batches)
        if all(len(batch) == 1 for batch in batches):
            raise NoRoom(
                f"the backward pass of one completion of {largest} tokens with its prompt does not fit into memory; "
                "lower rollout.max_completion_length, or choose a smaller model"
            ) from error
        self.micro_batch_tokens = min(self.micro_batch_tokens, largest) // 2
        self._say(f"out of memory in an update: micro-batches are of {self.micro_batch_tokens} tokens from now on")

    def _drop_gradients(self) -> None:
        for tensor in self._adapter.values():
            tensor.grad = None

    @torch.no_grad()
    def _without_dropout(self, batches: Sequence[Sequence[_Row]]) -> "list[Tensor]":
        """Log-probs of each row as the sampler's policy has them, which drops nothing."""
        found: list[Tensor] = []
        for rows in batches:
            if self._check_time():
                raise OutOfTime
            logprobs, _ = self._policy.logprobs(_token_batch(rows), self._settings.temperature)
            found.extend(row[: len(own.completion.ids)] for row, own in zip(logprobs, rows, strict=True))
        return found

    def _backward(self, rows: Sequence[_Row], at: int, old: "_Old", weights: LossWeights) -> "_Sums":
        """Forward and backward of one micro-batch, the rows from number `at`; gradients add up in the adapter."""
        device, temperature = self._policy.device, self._settings.temperature
        batch = _token_batch(rows)
        mask = batch.completion_mask().to(device)  # (n, T)
        logprobs, entropies = self._policy.logprobs(batch, temperature)
        if at == len(old.logprobs):  # first iteration: the policy is the one that sampled, the ratio is 1
            own_rows = zip(logprobs.detach(), rows, strict=True)
            old.logprobs.extend(row[: len(own.completion.ids)] for row, own in own_rows)
        before = old.padded(old.logprobs, at, len(rows))  # (n, T)
        undropped = old.padded(old.undropped, at, len(rows)) if old.undropped else before
        reference = None
        if self._loss.beta:
            with torch.no_grad():
                reference, _ = self._policy.logprobs(batch, temperature, adapter=False)
        behaviour = _padded([row.completion.logprobs for row in rows], mask.shape[1], device)
        losses, clipped = token_losses(
            logprobs,
            before,
            torch.tensor([row.advantage for row in rows], device=device),
            mask,
            self._loss,
            behaviour_logprobs=behaviour + (before - undropped),  # so that the weight is exp(undropped - behaviour)
            reference_logprobs=reference,
        )
        scale = weights.per_token(mask.sum(-1).float())
        loss = (losses * mask * scale[:, None]).sum()
        loss.backward()
        return _Sums(
            loss=float(loss.detach()),
            tokens=int(mask.sum()),
            entropy=float(entropies.sum()),
            difference=float(((undropped - behaviour).abs() * mask).sum()),
            clipped=float((clipped & mask).sum()),
        )

    def _clip_gradients(self) -> "Tensor":
        """Move the gradients to the masters in fp32, clipped; returns the norm before clipping."""
        for name, tensor in self._adapter.items():
            self._masters[name].grad = None if tensor.grad is None else tensor.grad.float()
        return torch.nn.utils.clip_grad_norm_(self._masters.values(), self._max_grad_norm)

    def _step(self, learning_rate: float) -> None:
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate
        self._optimizer.step()
        self._publish()

    def _publish(self) -> None:
        """Masters to bf16 adapter to sampling weights."""
        with torch.no_grad():
            for name, tensor in self._adapter.items():
                tensor.copy_(self._masters[name])
        self._policy.sync()


@dataclass(slots=True)
class _Old:
    """Log-probs before the first of the iterations, (T,) for each row."""

    logprobs: "list[Tensor]" = field(default_factory=list)
    """With the dropout of this step, for ratios."""
    undropped: "list[Tensor]" = field(default_factory=list)
    """Without, for importance weights; empty where nothing is dropped or none are taken."""

    def padded(self, rows: "list[Tensor]", at: int, count: int) -> "Tensor":
        """(count, T)."""
        return torch.nn.utils.rnn.pad_sequence(rows[at : at + count], batch_first=True)


@dataclass(slots=True)
class _Packer:
    """Rows into micro-batches under a token budget."""

    budget: int
    shares_prompts: bool
    batches: list[list[_Row]] = field(default_factory=list)
    _tokens: int = 0
    """Of the last batch."""

    def add(self, rows: Sequence[_Row]) -> None:
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

    def _cost(self, rows: Sequence[_Row], known: bool = False) -> int:
        """Tokens that these rows of one prompt add; `known`: the prompt is there already."""
        prompts = (0 if known else 1) if self.shares_prompts else len(rows)
        return prompts * len(rows[0].prompt.ids) + sum(len(row.completion.ids) for row in rows)


def _token_batch(rows: Sequence[_Row]) -> TokenBatch:
    """Consecutive rows of one prompt under that prompt."""
    groups = [list(group) for _, group in groupby(rows, key=lambda row: id(row.prompt))]
    return TokenBatch(
        tuple(group[0].prompt.ids for group in groups),
        tuple(tuple(row.completion.ids for row in group) for group in groups),
    )


@dataclass(slots=True)
class _Sums:
    """What adds up over micro-batches."""

    loss: float = 0.0
    tokens: int = 0
    entropy: float = 0.0
    difference: float = 0.0
    clipped: float = 0.0

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

    def add(self, other: "_Sums") -> None:
        self.loss += other.loss
        self.tokens += other.tokens
        self.entropy += other.entropy
        self.difference += other.difference
        self.clipped += other.clipped


def _padded(values: Sequence[Sequence[float]], width: int, device: "torch.device") -> "Tensor":
    """Ragged rows as (n, width) float32, 0 on the right."""
    rows = [list(row) + [0.0] * (width - len(row)) for row in values]
    return torch.tensor(rows, dtype=torch.float32, device=device)
