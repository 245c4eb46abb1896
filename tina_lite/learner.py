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
from math import isfinite

import torch
from torch import Tensor

from tina_lite.errors import BadInput, NoRoom
from tina_lite.grpo import k3, token_losses
from tina_lite.loss_scale import LossScale
from tina_lite.memory import insisting, with_less_each_time
from tina_lite.micro_batches import Lesson, Packer, Row, Sums, padded, takes_part, token_batch
from tina_lite.policy.interface import Policy
from tina_lite.recipe.schema import GrpoSection, LoraSection, OptimSection, RolloutSection
from tina_lite.records import ScoredGroup, Update
from tina_lite.wall_clock import OutOfTime

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
        say: Callable[[str], None] = lambda text: None,
        loss_scale: float | None = None,
    ) -> None:
        """`say` is told where memory did not suffice for a micro-batch, and smaller ones are taken from then on.

        `loss_scale`: to go on with; where not given, the policy's dtype decides.
        """
        self._policy = policy
        self._grpo = grpo
        self._optim = optim
        self._rollout = rollout
        self._dropout = lora.dropout
        self.micro_batch_tokens = optim.micro_batch_tokens
        self._scale = LossScale(policy.dtype_name, loss_scale)
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
        """One optimiser step for each iteration. A step that is not finite is not taken.

        `out_of_time` is asked before each micro-batch; once it says yes, OutOfTime is raised, and `undo` is due.
        """
        self._before = {name: tensor.detach().cpu().clone() for name, tensor in self.state().items()}
        self.updated_at, self._check_time = step, out_of_time
        skipped = sum(not takes_part(group, self._grpo) for group in groups)
        lesson = self._lesson(groups, self._seed * 1_000_003 + step)
        trained = 0
        for _ in range(self._grpo.num_iterations if lesson.rows else 1):
            sums, norm = self._gradients(lesson, progress)
            trained += sums.tokens
            update = sums.update(norm, learning_rate, trained, skipped, reference=bool(self._grpo.beta))
            if lesson.rows and update.finite:
                self._step(learning_rate)
            self._drop_gradients()
            if not update.finite:  # a step is taken whole: what earlier iterations moved goes back
                self._set(self._before)
                return update
        self._scale.grow(step)
        return update

    def undo(self) -> None:
        """Take the last update back, or what was done of it; without one there is nothing to do."""
        if self._before is not None:
            self._drop_gradients()
            before, self._before = self._before, None
            self._set(before)

    def rehearse(self, groups: Sequence[ScoredGroup]) -> None:
        """The memory of an update on these groups: its largest micro-batch, beside the moments. Nothing changes."""
        moments = [torch.zeros_like(master) for master in self._masters.values() for _ in range(2)]
        self._accumulate(self._lesson(groups, self._seed), lambda done, total: None, first_alone=True)
        self._drop_gradients()
        del moments

    @property
    def loss_scale(self) -> float:
        """To be kept beside `state`."""
        return self._scale.value

    @property
    def state_bytes(self) -> int:
        """Of `state` once a step was taken: a master and two moments of each value."""
        return 3 * sum(master.nbytes for master in self._masters.values())

    def state(self) -> dict[str, Tensor]:
        """Masters and moments by name, for a checkpoint."""
        tensors = {f"master.{name}": tensor for name, tensor in self._masters.items()}
        for name, master in self._masters.items():
            for key, value in self._optimizer.state[master].items():
                tensors[f"{key}.{name}"] = value
        return tensors

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from `state`; the adapter and the sampling weights follow."""
        if not all(self._fits(name, tensors) for name in self._masters):
            raise BadInput(
                "the checkpoint does not fit this model, or holds numbers that are not finite; use the run's own recipe"
            )
        self._set(tensors)

    def _set(self, tensors: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, master in self._masters.items():
                master.copy_(tensors[f"master.{name}"])
                moments = {key: tensors[f"{key}.{name}"] for key in MOMENTS if f"{key}.{name}" in tensors}
                self._optimizer.state[master] = {k: value.to(master.device, copy=True) for k, value in moments.items()}
        self._publish()

    def _fits(self, name: str, tensors: Mapping[str, Tensor]) -> bool:
        """Whether tensors hold this master, finite, and its moments: all of them, or none before the first step."""
        master, *moments = (tensors.get(f"{key}.{name}") for key in ("master", "exp_avg", "exp_avg_sq"))
        shape, step = self._masters[name].shape, tensors.get(f"step.{name}")
        if master is None or master.shape != shape or not master.isfinite().all():
            return False
        if step is None and moments == [None, None]:
            return True
        return step is not None and step.numel() == 1 and all(m is not None and m.shape == shape for m in moments)

    def _micro_batches(self, groups: Sequence[Sequence[Row]]) -> list[list[Row]]:
        """Consecutive rows whose tokens fit the budget; a row that alone is larger goes alone."""
        packer = Packer(self.micro_batch_tokens, self._policy.shares_prompts)
        for rows in groups:
            packer.add(rows)
        return packer.batches

    def _lesson(self, groups: Sequence[ScoredGroup], seed: int) -> Lesson:
        return Lesson.of(groups, self._grpo, self._rollout.max_completion_length, seed)

    def _gradients(self, lesson: Lesson, progress: Callable[[int, int], None]) -> tuple[Sums, float]:
        """Clipped ones of one whole pass, at the masters, and their norm before; again where they overflow float16."""
        while True:
            sums = self._accumulate(lesson, progress)
            norm = float(insisting(self._clip_gradients))
            if isfinite(norm) or not isfinite(sums.loss) or not self._scale.lower():
                return sums, norm
            self._drop_gradients()

    def _accumulate(self, lesson: Lesson, progress: Callable[[int, int], None], first_alone: bool = False) -> Sums:
        """Gradients of one whole pass, or of its first micro-batch alone; fills `old` where it is empty."""
        old, filled = lesson.old, len(lesson.old.logprobs)

        def attempt() -> Sums:
            sums, batches = Sums(), self._micro_batches(lesson.rows)
            if not filled and self._grpo.tis_cap and self._dropout:
                old.undropped = self._without_dropout(batches)
            # Dropout: the same masks in every iteration, or ratios would measure the noise between two of them.
            torch.manual_seed(lesson.seed % 2**63)
            with self._policy.training():
                at = 0
                for index, batch in enumerate(batches[:1] if first_alone else batches):
                    if self._check_time():
                        raise OutOfTime
                    sums.add(self._backward(batch, at, lesson))
                    at += len(batch)
                    progress(index + 1, len(batches))
            return sums

        def less(error: BaseException) -> None:
            del old.logprobs[filled:]
            self._drop_gradients()
            self._halve_budget(self._micro_batches(lesson.rows), error)

        return with_less_each_time(attempt, less)

    def _halve_budget(self, batches: Sequence[Sequence[Row]], error: BaseException) -> None:
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
    def _without_dropout(self, batches: Sequence[Sequence[Row]]) -> list[Tensor]:
        """Log-probs of each row as the sampler's policy has them, which drops nothing."""
        found: list[Tensor] = []
        for rows in batches:
            if self._check_time():
                raise OutOfTime
            logprobs, _ = self._policy.logprobs(token_batch(rows), self._rollout.scoring_temperature)
            found.extend(row[: len(own.completion.ids)] for row, own in zip(logprobs, rows, strict=True))
        return found

    def _backward(self, rows: Sequence[Row], at: int, lesson: Lesson) -> Sums:
        """Forward and backward of one micro-batch, the rows from number `at`; gradients add up in the adapter."""
        old, device, temperature = lesson.old, self._policy.device, self._rollout.scoring_temperature
        batch = token_batch(rows)
        mask = batch.completion_mask().to(device)  # (n, T)
        logprobs, entropies = self._policy.logprobs(batch, temperature)
        if at == len(old.logprobs):  # first iteration: the policy is the one that sampled, the ratio is 1
            own_rows = zip(logprobs.detach(), rows, strict=True)
            old.logprobs.extend(row[: len(own.completion.ids)] for row, own in own_rows)
        before = old.padded(old.logprobs, at, len(rows))  # (n, T)
        undropped = old.padded(old.undropped, at, len(rows)) if old.undropped else before
        reference, kl = None, torch.zeros(())
        if self._grpo.beta:
            with torch.no_grad():
                reference, _ = self._policy.logprobs(batch, temperature, adapter=False)
                kl = (k3(logprobs, reference) * mask).sum()
        behaviour = padded([row.completion.logprobs for row in rows], mask.shape[1], device)
        losses, clipped = token_losses(
            logprobs,
            before,
            torch.tensor([row.advantage for row in rows], device=device),
            mask,
            self._grpo,
            behaviour_logprobs=behaviour + (before - undropped),  # so that the weight is exp(undropped - behaviour)
            reference_logprobs=reference,
        )
        scale = lesson.weights.per_token(mask.sum(-1).float())
        loss = (losses * mask * scale[:, None]).sum()
        (loss * self._scale.value).backward()
        difference = ((undropped - behaviour).abs() * mask).sum()
        figures = (loss.detach(), entropies.sum(), difference, (clipped & mask).sum(), kl.to(device))
        return Sums.seen(sum(len(row.completion.ids) for row in rows), figures)

    def _clip_gradients(self) -> Tensor:
        """Move the gradients to the masters in fp32, clipped; returns the norm before clipping."""
        for name, tensor in self._adapter.items():
            self._masters[name].grad = None if tensor.grad is None else tensor.grad.float() / self._scale.value
        return torch.nn.utils.clip_grad_norm_(self._masters.values(), self._optim.max_grad_norm)

    def _step(self, learning_rate: float) -> None:
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate
        insisting(self._optimizer.step)  # memory is taken for the first step's moments, before anything moves
        self._publish()

    def _publish(self) -> None:
        """Masters to bf16 adapter to sampling weights."""
        with torch.no_grad():
            for name, tensor in self._adapter.items():
                tensor.copy_(self._masters[name])
        insisting(self._policy.sync)
