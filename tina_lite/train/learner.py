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
from dataclasses import replace
from math import isfinite

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from tina_lite.grpo import k3, token_losses
from tina_lite.policy.interface import Policy
from tina_lite.recipe.schema import GrpoSection, LoraSection, OptimSection, RolloutSection
from tina_lite.train.batching import Packer, Sums, TrainExample, UpdateBatch, padded, takes_part, token_batch
from tina_lite.util.errors import BadInput, NoRoom
from tina_lite.util.memory import insisting, with_less_each_time
from tina_lite.util.records import ScoredGroup, Update
from tina_lite.util.wall_clock import OutOfTime

LARGEST = 2.0**16
GROWS_EVERY = 100


class LossScale:
    """`value` is a power of two; 1, and never another, in a dtype with float32's range."""

    def __init__(self, dtype_name: str, value: float | None = None) -> None:
        self._largest = LARGEST if dtype_name == "float16" else 1.0
        self.value = self._largest if value is None else min(value, self._largest)

    def lower(self) -> bool:
        """To half, after a gradient overflowed; whether there was anything left to lower."""
        if self.value <= 1.0:
            return False
        self.value /= 2
        return True

    def grow(self, step: int) -> None:
        """After a step whose gradients were finite; by its number, so that a resumed run does the same."""
        if step % GROWS_EVERY == 0:
            self.value = min(2 * self.value, self._largest)


MOMENTS = ("step", "exp_avg", "exp_avg_sq")
"""What AdamW keeps of each master."""


class Learner:
    """Holds the fp32 masters and their optimiser; `update` is one step."""

    def __init__(
        self,
        policy: Policy,
        *,
        grpo: GrpoSection,
        optim: OptimSection,
        rollout: RolloutSection,
        lora: LoraSection,
        seed: int,
        warn: Callable[[str], None] = lambda text: None,
        loss_scale: float | None = None,
    ) -> None:
        """`warn` is told where memory did not suffice for a micro-batch, and smaller ones are taken from then on.

        `loss_scale`: to go on with; where not given, the policy's dtype decides.
        """
        self.policy = policy
        self._grpo = grpo
        self._optim = optim
        self._rollout = rollout
        self._dropout = lora.dropout
        self.micro_batch_tokens = optim.micro_batch_tokens
        self._scale = LossScale(policy.dtype_name, loss_scale)
        self._seed = seed
        self._warn = warn
        self._before: dict[str, Tensor] | None = None
        """What `undo` goes back to: in main memory, as the card's is scarce."""
        self.updated_at = 0
        """The step of the last update, whether it came to its end or not."""
        self._check_time: Callable[[], bool] = lambda: False
        self._adapter = policy.trainable()
        self._master_weights = {name: tensor.detach().float().clone() for name, tensor in self._adapter.items()}
        self._optimizer = torch.optim.AdamW(
            list(self._master_weights.values()),
            betas=(optim.adam_beta1, optim.adam_beta2),
            weight_decay=optim.weight_decay,
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
        """Take one optimiser step for each iteration. A step that is not finite is not taken.

        `out_of_time` is asked before each micro-batch; once it says yes, OutOfTime is raised, and `undo` is due.
        """
        self._before = {name: tensor.detach().cpu().clone() for name, tensor in self.state().items()}
        self.updated_at, self._check_time = step, out_of_time
        skipped = sum(not takes_part(group, self._grpo) for group in groups)
        update_batch = self._update_batch(groups, self._seed * 1_000_003 + step)
        trained = saved = 0
        for _ in range(self._grpo.num_iterations if update_batch.examples else 1):
            sums, norm = self._gradients(update_batch, progress)
            trained += sums.tokens
            saved += update_batch.saved_tokens
            update = sums.update(norm, learning_rate, trained, skipped, reference=bool(self._grpo.beta))
            if update_batch.examples and update.finite:
                self._step(learning_rate)
            self._drop_gradients()
            if not update.finite:  # a step is taken whole: what earlier iterations moved goes back
                self._set(self._before)
                return update
        self._scale.grow(step)
        return replace(update, saved_tokens=saved, adapter_norm=self.policy.adapter_norm())

    def undo(self) -> None:
        """Take the last update back, or what was done of it; without one there is nothing to do."""
        if self._before is not None:
            self._drop_gradients()
            before, self._before = self._before, None
            self._set(before)

    def rehearse(self, groups: Sequence[ScoredGroup]) -> None:
        """Take the memory of an update on these groups: its largest micro-batch, beside the moments.

        Nothing changes.
        """
        moments = [torch.zeros_like(master) for master in self._master_weights.values() for _ in range(2)]
        self._accumulate(self._update_batch(groups, self._seed), lambda done, total: None, first_alone=True)
        self._drop_gradients()
        del moments

    @property
    def loss_scale(self) -> float:
        """The loss scale, to be kept beside `state`."""
        return self._scale.value

    @property
    def state_bytes(self) -> int:
        """Of `state` once a step was taken: a master and two moments of each value."""
        return 3 * sum(master.nbytes for master in self._master_weights.values())

    def state(self) -> dict[str, Tensor]:
        """Give masters and moments by name, for a checkpoint."""
        tensors = {f"master.{name}": tensor for name, tensor in self._master_weights.items()}
        for name, master in self._master_weights.items():
            for key, value in self._optimizer.state[master].items():
                tensors[f"{key}.{name}"] = value
        return tensors

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from `state`; the adapter and the sampling weights follow."""
        if not all(self._fits(name, tensors) for name in self._master_weights):
            raise BadInput(
                "the checkpoint does not fit this model, or holds numbers that are not finite; use the run's own recipe"
            )
        self._set(tensors)

    def _set(self, tensors: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, master in self._master_weights.items():
                master.copy_(tensors[f"master.{name}"])
                moments = {key: tensors[f"{key}.{name}"] for key in MOMENTS if f"{key}.{name}" in tensors}
                self._optimizer.state[master] = {k: value.to(master.device, copy=True) for k, value in moments.items()}
        self._publish()

    def _fits(self, name: str, tensors: Mapping[str, Tensor]) -> bool:
        """Whether tensors hold this master, finite, and its moments: all of them, or none before the first step."""
        master, *moments = (tensors.get(f"{key}.{name}") for key in ("master", "exp_avg", "exp_avg_sq"))
        shape, step = self._master_weights[name].shape, tensors.get(f"step.{name}")
        if master is None or master.shape != shape or not master.isfinite().all():
            return False
        if step is None and moments == [None, None]:
            return True
        return step is not None and step.numel() == 1 and all(m is not None and m.shape == shape for m in moments)

    def _micro_batches(self, groups: Sequence[Sequence[TrainExample]]) -> list[list[TrainExample]]:
        """Consecutive examples whose tokens fit the budget; an example that alone is larger goes alone."""
        packer = Packer(self.micro_batch_tokens, self.policy.shares_prompts)
        for examples in groups:
            packer.add(examples)
        return packer.batches

    def _update_batch(self, groups: Sequence[ScoredGroup], seed: int) -> UpdateBatch:
        return UpdateBatch.of(groups, self._grpo, self._rollout.max_completion_length, seed)

    def _gradients(self, update_batch: UpdateBatch, progress: Callable[[int, int], None]) -> tuple[Sums, float]:
        """Clipped ones of one whole pass, at the masters, and their norm before; again where they overflow float16."""
        while True:
            sums = self._accumulate(update_batch, progress)
            norm = float(insisting(self._clip_gradients))
            if isfinite(norm) or not isfinite(sums.loss) or not self._scale.lower():
                return sums, norm
            self._drop_gradients()

    def _accumulate(
        self, update_batch: UpdateBatch, progress: Callable[[int, int], None], first_alone: bool = False
    ) -> Sums:
        """Gradients of one whole pass, or of its first micro-batch alone; fills `old_logprobs` where they are none."""
        filled = len(update_batch.old_logprobs)

        def attempt() -> Sums:
            sums, batches = Sums(), self._micro_batches(update_batch.examples)
            if not filled and self._grpo.tis_cap and self._dropout:
                update_batch.old_logprobs_no_dropout = self._without_dropout(batches)
            # Dropout: the same masks in every iteration, or ratios would measure the noise between two of them.
            torch.manual_seed(update_batch.seed % 2**63)
            with self.policy.training():
                at = 0
                for index, batch in enumerate(batches[:1] if first_alone else batches):
                    if self._check_time():
                        raise OutOfTime
                    sums.add(self._backward(batch, at, update_batch))
                    at += len(batch)
                    progress(index + 1, len(batches))
            return sums

        def less(error: BaseException) -> None:
            del update_batch.old_logprobs[filled:]
            self._drop_gradients()
            self._halve_budget(self._micro_batches(update_batch.examples), error)

        return with_less_each_time(attempt, less)

    def _halve_budget(self, batches: Sequence[Sequence[TrainExample]], error: BaseException) -> None:
        largest = max(sum(example.tokens for example in batch) for batch in batches)
        if all(len(batch) == 1 for batch in batches):
            raise NoRoom(
                f"the backward pass of one completion of {largest} tokens with its prompt does not fit into memory; "
                "lower rollout.max_completion_length, or choose a smaller model"
            ) from error
        self.micro_batch_tokens = min(self.micro_batch_tokens, largest) // 2
        self._warn(f"out of memory in an update: micro-batches are of {self.micro_batch_tokens} tokens from now on")

    def _drop_gradients(self) -> None:
        for tensor in self._adapter.values():
            tensor.grad = None

    @torch.no_grad()
    def _without_dropout(self, batches: Sequence[Sequence[TrainExample]]) -> list[Tensor]:
        """Log-probs of each example as the sampler's policy has them, which drops nothing."""
        found: list[Tensor] = []
        for examples in batches:
            if self._check_time():
                raise OutOfTime
            logprobs, _ = self.policy.logprobs(token_batch(examples), self._rollout.scoring_temperature)
            found.extend(example[: len(own.completion.ids)] for example, own in zip(logprobs, examples, strict=True))
        return found

    def _backward(self, examples: Sequence[TrainExample], at: int, update_batch: UpdateBatch) -> Sums:
        """Forward and backward of one micro-batch, the examples from number `at`; gradients add up in the adapter."""
        old, device, temperature = update_batch.old_logprobs, self.policy.device, self._rollout.scoring_temperature
        batch = token_batch(examples)
        mask = batch.completion_mask().to(device)  # (n, T)
        logprobs, entropies = self.policy.logprobs(batch, temperature)
        if at == len(old):  # first iteration: the policy is the one that sampled, the ratio is 1
            own_examples = zip(logprobs.detach(), examples, strict=True)
            old.extend(example[: len(own.completion.ids)] for example, own in own_examples)
        part = slice(at, at + len(examples))
        before = pad_sequence(old[part], batch_first=True)  # (n, T)
        no_dropout = update_batch.old_logprobs_no_dropout[part]
        old_logprobs_no_dropout = pad_sequence(no_dropout, batch_first=True) if no_dropout else before
        reference, kl = None, torch.zeros(())
        if self._grpo.beta:
            with torch.no_grad():
                reference, _ = self.policy.logprobs(batch, temperature, adapter=False)
                kl = (k3(logprobs, reference) * mask).sum()
        behaviour = padded([example.completion.logprobs for example in examples], mask.shape[1], device)
        losses, clipped = token_losses(
            logprobs,
            before,
            torch.tensor([example.advantage for example in examples], device=device),
            mask,
            self._grpo,
            behaviour_logprobs=behaviour
            + (before - old_logprobs_no_dropout),  # so that the weight is exp(old_logprobs_no_dropout - behaviour)
            reference_logprobs=reference,
        )
        weights = torch.tensor([example.weight for example in examples], device=device)
        scale = weights * update_batch.weights.per_token(mask.sum(-1).float())
        loss = (losses * mask * scale[:, None]).sum()
        (loss * self._scale.value).backward()
        difference = ((old_logprobs_no_dropout - behaviour).abs() * mask).sum()
        figures = (loss.detach(), entropies.sum(), difference, (clipped & mask).sum(), kl.to(device))
        return Sums.seen(sum(len(example.completion.ids) for example in examples), figures)

    def _clip_gradients(self) -> Tensor:
        """Move the gradients to the masters in fp32, clipped; returns the norm before clipping."""
        for name, tensor in self._adapter.items():
            self._master_weights[name].grad = None if tensor.grad is None else tensor.grad.float() / self._scale.value
        return torch.nn.utils.clip_grad_norm_(self._master_weights.values(), self._optim.max_grad_norm)

    def _step(self, learning_rate: float) -> None:
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate
        insisting(self._optimizer.step)  # memory is taken for the first step's moments, before anything moves
        self._publish()

    def _publish(self) -> None:
        """Masters to bf16 adapter to sampling weights."""
        with torch.no_grad():
            for name, tensor in self._adapter.items():
                tensor.copy_(self._master_weights[name])
        insisting(self.policy.sync)
