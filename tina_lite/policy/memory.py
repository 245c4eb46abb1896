"""What is kept where: from a model's shape, a recipe and the memory that is free, the layout of a run. Without torch.

Considered is the recipe's longest case: every prompt and every completion as long as is allowed. Speed is given up
for room in the order of its price: layers are computed twice in the backward pass, micro-batches are made smaller,
what is kept of a layer goes to main memory; and a dense copy of the base is kept unless the room for it would let
fewer than half as many sequences be decoded at once.

DeepSeek-R1-Distill-Qwen-1.5B on a card of 8 GB of which 7.0 GiB are free: groups of 4 completions of 3584 tokens after
prompts of 512, r = 32. GiB:

    base         1.50   projections in NF4; embedding and head, untied, in 16 bits
    dense copy   2.55   of the projections, in 16 bits, and the adapter's rows stacked, as sampling reads them
    adapter      0.21   bfloat16, and its gradients in float32
    optimizer    0.55   float32 masters, their gradients, two moments
    rollout      0.52   4 sequences of 4096 tokens at 28 KiB, a prompt being read, logits
    update       1.28   one completion after its prompt, layers computed twice, 32 MiB of logits, five times
    peak         6.08   of an update; without the dense copy 3.74, which a card of 6 GB holds
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations

from tina_lite.policy.memory_request import (
    HALF_SUM_ITEM,
    HALF_SUM_ROWS,
    LOGIT_COPIES,
    UN_NESTED,
    MemoryBudget,
    MemoryRequest,
    base_bytes,
    chunk_elements,
    learning_bytes,
    reading_bytes,
    sequence_bytes,
    sequences_at_once,
    weights_in_4_bits,
)
from tina_lite.policy.shape import ModelShape
from tina_lite.util.errors import NoRoom
from tina_lite.util.stateful import Activations, Product, ResolvedRuntime

GIB = 1024**3
TIGHT = 0.15
SLOWER_WITHOUT_COPY = 2.2
"""A decode step that dequantises every weight: 0.5 and 2 bytes are read and 2 written, where 2 were read."""
FASTER_IN_4_BITS = 0.5
"""One that multiplies in 4 bits: 0.56 bytes are read where 2 were, at less than the bandwidth of those."""
BATCH_TOKENS = 256
"""As long takes what a micro-batch costs beside its tokens."""
ADAPTER_ITEM = 2 + 4
"""bfloat16 and its gradient in float32."""
OPTIMIZER_ITEM = 4 + 4 + 4 + 4
"""float32 master, its gradient, AdamW's two moments."""
UNDO_ITEM = 4 + 4 + 4
"""Master and moments as they were before a step; in main memory."""


@dataclass(frozen=True, slots=True)
class MemoryLayout:
    """What is kept where, and the bytes of each part at its largest."""

    dense_copy: bool
    """Whether a dense copy of the base is kept, but for what is in 4 bits."""
    in_4_bits: tuple[Product, ...]
    """Products that a decode step multiplies in 4 bits."""
    sequences: int
    """Decoded at once where all are the longest."""
    kv_tokens: int
    """The cache's budget."""
    micro_batch_tokens: int
    """In one forward and backward pass, padding included."""
    activations: Activations
    chunk_elements: int
    """Logits held at once by the learner."""

    runtime: int
    base: int
    sampling_copy: int
    """The dense copy of the base for training and sampling, on a CPU another one for sampling, packed; scales that are
    not nested; the adapter as sampling reads it."""
    adapters: int
    """In bfloat16, with their gradients."""
    optimizer: int
    """Masters, their gradients, moments; on a CPU also what they were before the step."""
    kv_cache: int
    sampling: int
    """Prompts being read, attention and logits of a decode step."""
    stored: int
    """For the backward pass, the mask of attention included."""
    passing: int
    """Gradients under way, a weight being dequantised."""
    logits: int
    """Of a chunk, with their copies."""
    free: int
    reason: str = ""
    """Why it is so, in words."""

    @property
    def weights(self) -> int:
        """Bytes that are there all the time."""
        return self.runtime + self.base + self.sampling_copy + self.adapters + self.optimizer

    @property
    def activation_bytes(self) -> int:
        """Bytes that a forward and backward pass takes, all in all."""
        return self.stored + self.passing + self.logits

    @property
    def rollout_peak(self) -> int:
        return self.weights + self.kv_cache + self.sampling

    @property
    def update_peak(self) -> int:
        return self.weights + self.activation_bytes

    @property
    def peak(self) -> int:
        return max(self.rollout_peak, self.update_peak)

    @property
    def fits(self) -> bool:
        return self.peak <= self.free

    @property
    def is_tight(self) -> bool:
        """Whether the peak is so near to what is free that only a trial can tell."""
        return self.peak > (1 - TIGHT) * self.free


def layout_of(
    shape: ModelShape,
    memory_request: MemoryRequest,
    memory_budget: MemoryBudget,
    *,
    unsloth: bool = False,
    runtime: ResolvedRuntime | None = None,
) -> MemoryLayout:
    """The fastest layout that fits, or the smallest where none does; or one that was chosen before.

    Args:
        unsloth: whether the layers are Unsloth's, which computes each twice and keeps what it starts from in main
            memory; or the native engine's own where it knows the model (`shape.dense`), else transformers'.
    """
    own = shape.dense and not unsloth
    if runtime is not None:
        tokens = max(memory_request.longest_sequence, runtime.micro_batch_tokens)
        copy = Copy(runtime.dense_copy, runtime.in_4_bits)
        layout = _laid_out(shape, memory_request, memory_budget, own, copy, runtime.activations, tokens)
        return replace(
            layout,
            kv_tokens=runtime.kv_tokens,
            micro_batch_tokens=runtime.micro_batch_tokens,
            chunk_elements=runtime.chunk_elements,
            reason="as before",
        )
    layouts = list(_layouts(shape, memory_request, memory_budget, own, unsloth))
    fitting = [layout for layout in layouts if layout.peak <= memory_budget.usable]
    layout = (
        min(fitting, key=lambda one: _price(one, memory_request, shape))
        if fitting
        else min(layouts, key=lambda one: one.peak)
    )
    return replace(layout, reason=_reason(layout, memory_request, own))


def refuse_too_large(layout: MemoryLayout) -> None:
    """NoRoom where not even the smallest layout fits."""
    if not layout.fits:
        raise NoRoom(
            f"this needs {layout.peak / GIB:.2f} GiB of memory at least, and {max(0, layout.free) / GIB:.2f} GiB are "
            "free; lower rollout.max_completion_length, rollout.max_prompt_length or lora.r, or choose a smaller model "
            "(tina-lite plan RECIPE tells what fits); more: tina-lite docs hardware"
        )


def _layouts(
    shape: ModelShape, memory_request: MemoryRequest, memory_budget: MemoryBudget, own: bool, unsloth: bool
) -> Iterator[MemoryLayout]:
    for copy in _copies(memory_request, memory_budget, own):
        for activations, tokens in _ways_to_learn(memory_request, memory_budget, own, unsloth):
            layout = _laid_out(shape, memory_request, memory_budget, own, copy, activations, tokens)
            if all(layout.sequences <= memory_budget.rows_in_4_bits[product] for product in layout.in_4_bits):
                yield layout


@dataclass(frozen=True, slots=True)
class Copy:
    """What of the base is there a second time, and what is multiplied in 4 bits instead."""

    dense: bool
    in_4_bits: tuple[Product, ...]


def _copies(memory_request: MemoryRequest, memory_budget: MemoryBudget, own: bool) -> Iterator[Copy]:
    products: list[tuple[Product, ...]] = [()]
    if own and memory_request.quantization == "nf4":
        known = tuple(memory_budget.rows_in_4_bits)
        products = [products for count in range(len(known), -1, -1) for products in combinations(known, count)]
    for dense in (True, False) if own else (False,):
        for in_4_bits in products:
            yield Copy(dense, in_4_bits)


def _ways_to_learn(
    memory_request: MemoryRequest, memory_budget: MemoryBudget, own: bool, unsloth: bool
) -> Iterator[tuple[Activations, int]]:
    """What is kept, and the tokens of a micro-batch, the fastest first."""
    if not memory_request.micro_batch_tokens:
        yield "stored", 0
        return
    ways: list[Activations] = ["stored"]
    if unsloth:
        ways = ["offloaded"]
    elif own:
        ways = ["stored", "recomputed", "offloaded"] if memory_budget.card else ["stored", "recomputed"]
    for way in ways:
        tokens = _most_tokens(memory_request, own)
        yield way, tokens
        while tokens > memory_request.longest_sequence:
            tokens = max(memory_request.longest_sequence, tokens // 2)
            yield way, tokens


def _most_tokens(memory_request: MemoryRequest, own: bool) -> int:
    """In one forward pass: the recipe's budget, all that there are, or a sequence that alone is longer."""
    return max(memory_request.longest_sequence, min(memory_request.micro_batch_tokens, memory_request.step_tokens(own)))


def _price(layout: MemoryLayout, memory_request: MemoryRequest, shape: ModelShape) -> float:
    """Of a step, in units of decoding all sequences at once: a forward and backward pass over them is about as long."""
    waves = -(-memory_request.sequences // layout.sequences)
    share = weights_in_4_bits(shape, layout.in_4_bits) / shape.linear_weights
    rollout = waves * (share * FASTER_IN_4_BITS + (1 - share) * (1.0 if layout.dense_copy else SLOWER_WITHOUT_COPY))
    if not layout.micro_batch_tokens:
        return rollout
    tokens = memory_request.step_tokens(shares_prompts=True)
    batches = -(-tokens // layout.micro_batch_tokens)
    tokens += batches * (
        memory_request.longest_prompt + BATCH_TOKENS
    )  # each reads a prompt again, and starts its kernels
    again = {"stored": 1.0, "recomputed": 4 / 3, "offloaded": 1.4}[layout.activations]
    return rollout + again * (1.0 if layout.dense_copy else 1.1) * tokens / memory_request.step_tokens(
        shares_prompts=True
    )


def _laid_out(
    shape: ModelShape,
    memory_request: MemoryRequest,
    memory_budget: MemoryBudget,
    own: bool,
    copy: Copy,
    activations: Activations,
    tokens: int,
) -> MemoryLayout:
    item, lora = memory_budget.itemsize, shape.lora_parameters(memory_request.r, memory_request.target_modules)
    fused = shape.fused_adapter_elements(memory_request.r, memory_request.target_modules) * item if own else 0
    base = base_bytes(shape, memory_request.quantization, item)
    copies = 1 if memory_budget.card else 2
    in_4_bits = weights_in_4_bits(shape, copy.in_4_bits)
    copied = (copies * (shape.linear_weights - in_4_bits) + (copies - 1) * shape.head_weights) * item
    sampling_copy = round(in_4_bits * UN_NESTED) + (copied if copy.dense else 0)
    if memory_budget.card or not copy.dense or item < 4:
        sampling_copy += fused  # elsewhere base and adapter are sampled from in one
    optimizer = (OPTIMIZER_ITEM + (0 if memory_budget.card else UNDO_ITEM)) * lora if tokens else 0
    adapters = ADAPTER_ITEM * lora
    left = memory_budget.usable - base - sampling_copy - adapters - optimizer

    reading, per_sequence = reading_bytes(shape, memory_request, item), sequence_bytes(shape, memory_request, item)
    fitting = max(1, int(max(0, left - reading) // per_sequence))
    budget = (
        max(1, memory_request.kv_tokens // memory_request.longest_sequence)
        if memory_request.kv_tokens
        else memory_request.sequences
    )
    sequences = sequences_at_once(min(fitting, budget), memory_request.sequences)
    kv_tokens = (
        memory_request.kv_tokens
        if memory_request.kv_tokens and fitting >= min(budget, memory_request.sequences)
        else sequences * memory_request.longest_sequence
    )
    kv_cache = sequences * memory_request.longest_sequence * shape.kv_bytes(item)

    chunk = chunk_elements(memory_budget.card, left)
    stored, passing = learning_bytes(shape, memory_request, memory_budget, own, activations, tokens)
    if not copy.dense or copy.in_4_bits:
        passing += 2 * shape.largest_weight * item
    if memory_request.half_sums and own and memory_budget.card:
        passing += 2 * shape.largest_weight + HALF_SUM_ROWS * HALF_SUM_ITEM * (shape.hidden + 2 * shape.intermediate)
    return MemoryLayout(
        dense_copy=copy.dense,
        in_4_bits=copy.in_4_bits,
        sequences=sequences,
        kv_tokens=kv_tokens,
        micro_batch_tokens=tokens if tokens < _most_tokens(memory_request, own) else memory_request.micro_batch_tokens,
        activations=activations,
        chunk_elements=chunk,
        runtime=memory_budget.runtime,
        base=base,
        sampling_copy=sampling_copy,
        adapters=adapters,
        optimizer=optimizer,
        kv_cache=kv_cache,
        sampling=reading + sequences * per_sequence - kv_cache,
        stored=stored + fused if tokens else 0,
        passing=passing,
        logits=min(chunk, tokens * shape.vocabulary) * 4 * LOGIT_COPIES,
        free=memory_budget.free,
    )


def _reason(layout: MemoryLayout, memory_request: MemoryRequest, own: bool) -> str:
    """Such as "12 of 64 sequences at once, no dense copy of the base, layers computed twice: 5.9 of 7.0 GiB"."""
    said = [
        f"{layout.sequences} of {memory_request.sequences} sequences at once"
        if layout.sequences < memory_request.sequences
        else "all sequences at once"
    ]
    if own:
        said.append(f"{'a' if layout.dense_copy else 'no'} dense copy of the base")
    if layout.in_4_bits:
        said.append(f"{' and '.join(layout.in_4_bits)} in 4 bits instead")
    if layout.micro_batch_tokens:
        said.append(f"micro-batches of {layout.micro_batch_tokens:,} tokens")
    if layout.activations != "stored":
        stored = ", what they start from in main memory" if layout.activations == "offloaded" else ""
        said.append(f"layers computed twice{stored}")
    return f"{', '.join(said)}: {layout.peak / GIB:.1f} of {layout.free / GIB:.1f} GiB"
