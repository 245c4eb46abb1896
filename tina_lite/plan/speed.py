"""Seconds of a step: products at the device's speed, memory at its bandwidth, and a call for every operation.

Each term is what the engine does (policy/decoder.py, policy/forward.py); the counts of calls and passes were fitted to
two models on a CPU, what a card's calls take to one model on an H100. Where a run was measured, its ratio to this
forecast corrects it (measured.py).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil

from tina_lite.plan.device import Device
from tina_lite.plan.work import Work
from tina_lite.policy.memory import MemoryLayout
from tina_lite.policy.shape import ModelShape

DECODE_CALLS = 50
"""Operations of a layer for one token, the cache's included."""
STEP_CALLS = {False: 350, True: 100}
"""Operations of the sampler for one token of all rows, its Python included: of a CPU, of a card, which waits for the
host less often than the host for it."""
UPDATE_CALLS = 150
"""Operations of a layer, forward and backward."""
DRAW_PASSES = 12
"""Over the logits of a decode step, in float32."""
LOGIT_PASSES = 20
"""Over the logits of the learner."""
KEPT_PASSES = 13
"""Over what a forward pass keeps, forward and backward."""
COMPLETION_S = 0.2e-3
"""To decode a completion into text, and to reward it."""


@dataclass(frozen=True, slots=True)
class StepTime:
    """Seconds of a typical step by phase."""

    rollout: float
    reward: float
    update: float

    @property
    def total(self) -> float:
        return self.rollout + self.reward + self.update


def step_time(
    shape: ModelShape, work: Work, device: Device, memory: MemoryLayout, *, r: int, target_modules: Iterable[str]
) -> StepTime:
    """A step in which every group teaches something: groups without variance make it shorter."""
    adapter = shape.lora_parameters(r, tuple(target_modules))
    return StepTime(
        rollout=rollout_s(shape, work, device, memory, adapter, work.demand.step_rows),
        reward=work.demand.step_rows * COMPLETION_S,
        update=update_s(shape, work, device, memory, adapter),
    )


def rollout_s(shape: ModelShape, work: Work, device: Device, memory: MemoryLayout, adapter: int, rows: int) -> float:
    """To sample so many completions, as many at once as the cache's budget holds."""
    at_once = max(1, min(rows, memory.kv_tokens // work.row))
    waves = ceil(rows / at_once)
    last = work.demand.longest_completion  # to finish, which sets the length of its wave
    steps = (waves - 1) * work.completion + last
    tokens = rows * work.completion
    weights = shape.linear_weights + shape.head_weights + adapter
    read = weights * device.itemsize
    if not memory.resident:
        read += round(shape.linear_weights * (0.5 + device.itemsize))  # dequantised anew: read in 4 bits, written
    call_s = device.decode_call_s if shape.dense else device.call_s
    cached = (work.prompt + work.completion / 2) * shape.kv_bytes(device.itemsize)
    drawn = shape.vocabulary * 4 * DRAW_PASSES
    calls_s = shape.layers * DECODE_CALLS * call_s + STEP_CALLS[device.card] * device.call_s
    per_step = calls_s + read / device.bandwidth
    per_token = 2 * weights / device.flops + (cached + drawn) / device.bandwidth
    prefill = work.demand.prompts * work.prompt * 2 * shape.linear_weights / device.flops
    return prefill + steps * per_step + tokens * per_token


def update_s(shape: ModelShape, work: Work, device: Device, memory: MemoryLayout, adapter: int) -> float:
    """Forward and backward over all completions, and an optimiser step; as often as the recipe iterates."""
    tokens, completions = work.trained_tokens(shape.dense), work.demand.step_rows * work.completion
    forwards = 1 if memory.activations == "kept" else 2
    passes = 2 * (forwards + 1 + work.reference)  # dx alone: the base takes no gradient
    products = tokens * (passes * shape.linear_weights + (passes + 2) * adapter) + completions * 4 * shape.head_weights
    width = shape.heads * shape.head_dim
    attended = completions * (work.prompt + work.completion)  # the engine's mask saves no work
    attention = shape.layers * 4 * width * attended * (forwards + 2.5)
    moved = tokens * shape.kept_bytes(1, device.itemsize) * KEPT_PASSES
    moved += completions * shape.vocabulary * 4 * LOGIT_PASSES
    batches = ceil(tokens / memory.micro_batch_tokens)
    calls = batches * shape.layers * UPDATE_CALLS + 40 * shape.layers
    seconds = (
        products / device.flops + attention / device.attention_flops + moved / device.bandwidth + calls * device.call_s
    )
    if not memory.resident:
        seconds += batches * (forwards + 1) * shape.linear_weights * (0.5 + device.itemsize) / device.bandwidth
    return work.iterations * seconds
