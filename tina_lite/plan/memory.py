"""Memory by part, as the portable engine will divide it (policy/shares.py, policy/portable.py).

Each part is a function of its own; an engine that divides memory otherwise replaces the parts in which it differs.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from tina_lite.plan.device import GIB, Device
from tina_lite.plan.work import Work
from tina_lite.policy.shape import ModelShape
from tina_lite.policy.shares import (
    ACTIVATION_SHARE,
    CACHE_SHARE,
    CHUNK_ELEMENTS,
    chunk_elements,
    dense_copies,
    keeps_dense_copy,
)
from tina_lite.sampler import PREFILL_PROMPTS

# Measured on a CPU with torch 2.13 (README, "On which machines it runs").
CPU_RUNTIME = int(0.48 * GIB)
"""Interpreter and libraries."""
CARD_RUNTIME = int(0.5 * GIB)
"""CUDA's context and libraries: an assumption."""

NF4_BLOCK = 64
"""Weights that share an absmax, itself one byte."""
NF4_NESTED_BLOCK = 256
"""Absmaxes that share one in float32."""
NF4_TABLES = 256 * 4 + 16 * 4 + 4
"""Bytes that each module keeps beside: two code books and an offset."""

ADAPTER_ITEM = 2 + 2
"""bfloat16 and its gradient."""
OPTIMIZER_ITEM = 4 + 4 + 4 + 4
"""float32 master, its gradient, AdamW's two moments."""
DRAW_COPIES = 5
"""Of a step's logits in float32, while a token is drawn."""
GENERIC_KEPT = 2
"""transformers' own forward pass keeps about so many times what ours does: an assumption."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes by part at their largest, and what the engine chooses for want or plenty of them."""

    runtime: int
    """Interpreter and libraries, the model's file as mapped; CUDA's context on a card."""
    base: int
    sampling_copy: int
    """The dense copy of the base for training and sampling, on a CPU another one for sampling, packed."""
    adapters: int
    """In bfloat16, with their gradients."""
    optimizer: int
    """Masters, their gradients, moments; float32."""
    kv_cache: int
    sampling: int
    """Prompts being read, logits being drawn from."""
    activations: int
    """Of one micro-batch, with the log-probs' chunk."""
    peak: int
    resident: bool
    """Whether the dense copy is kept; else each weight is dequantised at each use."""
    recompute: bool
    """Whether a layer's activations are computed again in the backward pass."""
    kv_tokens: int
    """The cache's budget, as far as rows can use it."""
    rows: int
    """Decoded at once, where their completions are the longest."""
    micro_batch: int
    """Tokens in one forward and backward pass."""


PARTS = ("runtime", "base", "sampling_copy", "adapters", "optimizer", "kv_cache", "sampling", "activations")


def memory_of(
    shape: ModelShape, work: Work, device: Device, *, quantization: str, r: int, target_modules: Iterable[str]
) -> Memory:
    """What the run takes on this device, which the engine divides by what is free at the time."""
    targets, item = tuple(target_modules), device.itemsize
    lora = shape.lora_parameters(r, targets)
    fused = shape.fused_adapter_elements(r, targets) * item if shape.dense else 0
    runtime, base = runtime_bytes(shape, quantization, device), base_bytes(shape, quantization, item)
    adapters, optimizer = ADAPTER_ITEM * lora, OPTIMIZER_ITEM * lora

    free = device.memory - runtime - base - adapters
    copies, least = dense_copies(device.card), least_step_bytes(shape, work, item, r, targets)
    resident = shape.dense and keeps_dense_copy(copies * (shape.parameters + lora) * item, free, least)
    copy = (copies * shape.linear_weights + (copies - 1) * shape.head_weights) * item if resident else 0
    if device.card or not resident:
        copy += fused  # elsewhere base and adapter are sampled from in one
    free -= copy

    budget = work.kv_tokens or int(max(free, 0) * CACHE_SHARE) // shape.kv_bytes(item)
    kv_tokens = max(work.row, min(budget, max(work.rows, work.eval_rows) * work.row))  # one row at least
    kv_cache, rows = kv_tokens * shape.kv_bytes(item), kv_tokens // work.row
    sampling = sampling_bytes(shape, work, rows, item)
    free -= kv_cache + sampling + optimizer

    micro_batch, chunk = work.micro_batch(shape.dense), chunk_elements(device.card, device.memory - runtime - base)
    recompute = shape.dense and ACTIVATION_SHARE * max(free, 0) < shape.activation_bytes(
        micro_batch, work.row, item, chunk, recompute=False, resident=resident
    )
    activations = shape.activation_bytes(micro_batch, work.row, item, chunk, recompute=recompute, resident=resident)
    activations = activations * (1 if shape.dense else GENERIC_KEPT) + fused
    # A card's allocator hands the sampler's blocks on to the learner; a process keeps most of what it has freed.
    working = max(kv_cache + sampling, activations) if device.card else kv_cache + sampling + activations
    return Memory(
        runtime=runtime,
        base=base,
        sampling_copy=copy,
        adapters=adapters,
        optimizer=optimizer,
        kv_cache=kv_cache,
        sampling=sampling,
        activations=activations,
        peak=runtime + base + copy + adapters + optimizer + working,
        resident=resident,
        recompute=recompute,
        kv_tokens=kv_tokens,
        rows=rows,
        micro_batch=micro_batch,
    )


def least_step_bytes(shape: ModelShape, work: Work, itemsize: int, r: int, targets: Iterable[str]) -> int:
    """What a step needs beside base and adapter, however slow: the engine keeps no dense copy that leaves less."""
    targets = tuple(targets)
    kv_tokens = max(work.row, work.kv_tokens or 0)
    rows = max(1, min(max(work.rows, work.eval_rows), kv_tokens // work.row))
    sampling = kv_tokens * shape.kv_bytes(itemsize) + sampling_bytes(shape, work, rows, itemsize)
    tokens = work.micro_batch(shape.dense)
    learning = shape.activation_bytes(tokens, work.row, itemsize, CHUNK_ELEMENTS, recompute=True, resident=False)
    adapter = OPTIMIZER_ITEM * shape.lora_parameters(r, targets)
    adapter += 2 * shape.fused_adapter_elements(r, targets) * itemsize  # as sampling and as learning read it
    return adapter + sampling + learning


def base_bytes(shape: ModelShape, quantization: str, itemsize: int) -> int:
    """The frozen base: projections in NF4 with double quantisation, embeddings, head, norms and biases as they are."""
    if quantization != "nf4":
        return shape.parameters * itemsize
    modules = shape.layers * len(shape.linears)
    return nf4_bytes(shape.linear_weights) + modules * NF4_TABLES + shape.other_weights * itemsize


def nf4_bytes(weights: int) -> int:
    """Half a byte a weight, an absmax of one byte a block, and a float32 for each block of those.

    >>> nf4_bytes(64 * 256), 64 * 256 / 2 + 256 + 4
    (8452, 8452.0)
    """
    absmaxes = -(-weights // NF4_BLOCK)
    return weights // 2 + absmaxes + -(-absmaxes // NF4_NESTED_BLOCK) * 4


def runtime_bytes(shape: ModelShape, quantization: str, device: Device) -> int:
    """What is there beside the model."""
    if device.card:
        return CARD_RUNTIME
    mapped = 2 * shape.linear_weights if quantization == "nf4" else 0  # its pages were read, and count as resident
    return CPU_RUNTIME + mapped


def sampling_bytes(shape: ModelShape, work: Work, rows: int, itemsize: int) -> int:
    """Prompts as they are read and kept for their group, and the logits of a step."""
    reading = min(PREFILL_PROMPTS, work.prompts) * round(work.prompt)
    prefixes = 2 * reading * shape.kv_bytes(itemsize)
    widest = (3 * shape.intermediate + 4 * shape.hidden) * itemsize
    return prefixes + reading * widest + rows * shape.vocabulary * 4 * DRAW_COPIES
