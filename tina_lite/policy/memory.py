"""What is kept where: from a model's shape, a recipe and the memory that is free, the layout of a run. Without torch.

Considered is the recipe's longest case: every prompt and every completion as long as is allowed. Speed is given up
for room in the order of its price: layers are computed twice in the backward pass, micro-batches are made smaller,
what is kept of a layer goes to main memory; and a dense copy of the base is kept unless the room for it would let
fewer than half as many rows be decoded at once.

DeepSeek-R1-Distill-Qwen-1.5B on a card of 8 GB of which 7.0 GiB are free: groups of 4 completions of 3584 tokens after
prompts of 512, r = 32. GiB:

    base         1.50   projections in NF4; embedding and head, untied, in 16 bits
    dense copy   2.55   of the projections, in 16 bits, and the adapter's rows stacked, as sampling reads them
    adapter      0.21   bfloat16, and its gradients in float32
    optimizer    0.55   float32 masters, their gradients, two moments
    rollout      0.52   4 rows of 4096 tokens at 28 KiB, a prompt being read, logits
    update       1.28   one completion after its prompt, layers computed twice, 32 MiB of logits, five times
    peak         6.08   of an update; without the dense copy 3.74, which a card of 6 GB holds
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from tina_lite.chosen import Activations, Chosen
from tina_lite.drawing import rows_at_once
from tina_lite.errors import NoRoom
from tina_lite.policy.demand import Demand, Room
from tina_lite.policy.parts import (
    LOGIT_COPIES,
    base_bytes,
    chunk_elements,
    learning_bytes,
    reading_bytes,
    row_bytes,
)
from tina_lite.policy.shape import ModelShape

GIB = 1024**3
TIGHT = 0.15
SLOWER_WITHOUT_COPY = 2.2
"""A decode step that dequantises every weight: 0.5 and 2 bytes are read and 2 written, where 2 were read."""
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

    resident: bool
    """Whether a dense copy of the base is kept."""
    rows: int
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
    """The dense copy of the base for training and sampling, on a CPU another one for sampling, packed; the adapter as
    sampling reads it."""
    adapters: int
    """In bfloat16, with their gradients."""
    optimizer: int
    """Masters, their gradients, moments; on a CPU also what they were before the step."""
    kv_cache: int
    sampling: int
    """Prompts being read, attention and logits of a decode step."""
    kept: int
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
        """There all the time."""
        return self.runtime + self.base + self.sampling_copy + self.adapters + self.optimizer

    @property
    def activation_bytes(self) -> int:
        """Of a forward and backward pass, all in all."""
        return self.kept + self.passing + self.logits

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
    shape: ModelShape, demand: Demand, room: Room, *, unsloth: bool = False, chosen: Chosen | None = None
) -> MemoryLayout:
    """The fastest layout that fits, or the smallest where none does; or one that was chosen before.

    Args:
        unsloth: whether the layers are Unsloth's, which computes each twice and keeps what it starts from in main
            memory; or the portable engine's own where it knows the model (`shape.dense`), else transformers'.
    """
    own = shape.dense and not unsloth
    if chosen is not None:
        tokens = max(demand.row, chosen.micro_batch_tokens)
        layout = _laid_out(shape, demand, room, own, chosen.resident, chosen.activations, tokens)
        return replace(
            layout,
            kv_tokens=chosen.kv_tokens,
            micro_batch_tokens=chosen.micro_batch_tokens,
            chunk_elements=chosen.chunk_elements,
            reason="as before",
        )
    layouts = list(_layouts(shape, demand, room, own, unsloth))
    fitting = [layout for layout in layouts if layout.peak <= room.usable]
    layout = min(fitting, key=lambda one: _price(one, demand)) if fitting else min(layouts, key=lambda one: one.peak)
    return replace(layout, reason=_reason(layout, demand, own))


def refuse_too_large(layout: MemoryLayout) -> None:
    """NoRoom where not even the smallest layout fits."""
    if not layout.fits:
        raise NoRoom(
            f"this needs {layout.peak / GIB:.2f} GiB of memory at least, and {max(0, layout.free) / GIB:.2f} GiB are "
            "free; lower rollout.max_completion_length, rollout.max_prompt_length or lora.r, or choose a smaller model "
            "(tina-lite plan RECIPE tells what fits)"
        )


def _layouts(shape: ModelShape, demand: Demand, room: Room, own: bool, unsloth: bool) -> Iterator[MemoryLayout]:
    for resident in (True, False) if own else (False,):
        for activations, tokens in _ways_to_learn(demand, room, own, unsloth):
            yield _laid_out(shape, demand, room, own, resident, activations, tokens)


def _ways_to_learn(demand: Demand, room: Room, own: bool, unsloth: bool) -> Iterator[tuple[Activations, int]]:
    """What is kept, and the tokens of a micro-batch, the fastest first."""
    if not demand.micro_batch_tokens:
        yield "kept", 0
        return
    ways: list[Activations] = ["kept"]
    if unsloth:
        ways = ["offloaded"]
    elif own:
        ways = ["kept", "recomputed", "offloaded"] if room.card else ["kept", "recomputed"]
    for way in ways:
        tokens = _most_tokens(demand, own)
        yield way, tokens
        while tokens > demand.row:
            tokens = max(demand.row, tokens // 2)
            yield way, tokens


def _most_tokens(demand: Demand, own: bool) -> int:
    """In one forward pass: the recipe's budget, all that there are, or a row that alone is longer."""
    return max(demand.row, min(demand.micro_batch_tokens, demand.step_tokens(own)))


def _price(layout: MemoryLayout, demand: Demand) -> float:
    """Of a step, in units of decoding all rows at once: a forward and backward pass over them is about as long."""
    waves = -(-demand.rows // layout.rows)
    rollout = waves * (1.0 if layout.resident else SLOWER_WITHOUT_COPY)
    if not layout.micro_batch_tokens:
        return rollout
    tokens = demand.step_tokens(shares_prompts=True)
    batches = -(-tokens // layout.micro_batch_tokens)
    tokens += batches * (demand.longest_prompt + BATCH_TOKENS)  # each reads a prompt again, and starts its kernels
    again = {"kept": 1.0, "recomputed": 4 / 3, "offloaded": 1.4}[layout.activations]
    return rollout + again * (1.0 if layout.resident else 1.1) * tokens / demand.step_tokens(shares_prompts=True)


def _laid_out(
    shape: ModelShape, demand: Demand, room: Room, own: bool, resident: bool, activations: Activations, tokens: int
) -> MemoryLayout:
    item, lora = room.itemsize, shape.lora_parameters(demand.r, demand.target_modules)
    fused = shape.fused_adapter_elements(demand.r, demand.target_modules) * item if own else 0
    base = base_bytes(shape, demand.quantization, item)
    copies = 1 if room.card else 2
    copy = (copies * shape.linear_weights + (copies - 1) * shape.head_weights) * item if resident else 0
    if room.card or not resident or item < 4:
        copy += fused  # elsewhere base and adapter are sampled from in one
    optimizer = (OPTIMIZER_ITEM + (0 if room.card else UNDO_ITEM)) * lora if tokens else 0
    adapters = ADAPTER_ITEM * lora
    left = room.usable - base - copy - adapters - optimizer

    reading, per_row = reading_bytes(shape, demand, item), row_bytes(shape, demand, item)
    fitting = max(1, int(max(0, left - reading) // per_row))
    budget = max(1, demand.kv_tokens // demand.row) if demand.kv_tokens else demand.rows
    rows = rows_at_once(min(fitting, budget), demand.rows)
    kv_tokens = demand.kv_tokens if demand.kv_tokens and fitting >= min(budget, demand.rows) else rows * demand.row
    kv_cache = rows * demand.row * shape.kv_bytes(item)

    chunk = chunk_elements(room.card, left)
    kept, passing = learning_bytes(shape, demand, room, own, activations, tokens)
    if not resident:
        passing += 2 * shape.largest_weight * item
    return MemoryLayout(
        resident=resident,
        rows=rows,
        kv_tokens=kv_tokens,
        micro_batch_tokens=tokens if tokens < _most_tokens(demand, own) else demand.micro_batch_tokens,
        activations=activations,
        chunk_elements=chunk,
        runtime=room.runtime,
        base=base,
        sampling_copy=copy,
        adapters=adapters,
        optimizer=optimizer,
        kv_cache=kv_cache,
        sampling=reading + rows * per_row - kv_cache,
        kept=kept + fused if tokens else 0,
        passing=passing,
        logits=min(chunk, tokens * shape.vocabulary) * 4 * LOGIT_COPIES,
        free=room.free,
    )


def _reason(layout: MemoryLayout, demand: Demand, own: bool) -> str:
    """Such as "12 of 64 rows at once, no dense copy of the base, layers computed twice: 5.9 of 7.0 GiB"."""
    said = [f"{layout.rows} of {demand.rows} rows at once" if layout.rows < demand.rows else "all rows at once"]
    if own:
        said.append("a dense copy of the base" if layout.resident else "no dense copy of the base")
    if layout.micro_batch_tokens:
        said.append(f"micro-batches of {layout.micro_batch_tokens:,} tokens")
    if layout.activations != "kept":
        kept = ", what they start from in main memory" if layout.activations == "offloaded" else ""
        said.append(f"layers computed twice{kept}")
    return f"{', '.join(said)}: {layout.peak / GIB:.1f} of {layout.free / GIB:.1f} GiB"
