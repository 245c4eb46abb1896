"""What a run would compute on, in numbers: a card by its maker's figures, a CPU by a short measurement."""

import os
from dataclasses import dataclass, replace

from tina_lite.device import card_memory_gib, usable_card
from tina_lite.errors import BadInput, nearest
from tina_lite.main_memory import available_bytes
from tina_lite.plan.cards import Card, card_named, cards, slowest_with
from tina_lite.plan.cpu import CpuSpeed, cpu_speed
from tina_lite.policy.demand import Room
from tina_lite.policy.engine import refuse_float16
from tina_lite.policy.shape import ModelShape
from tina_lite.recipe.schema import DtypeName

GIB = 1024**3
FLOPS_SHARE = 0.4
"""Of a card's peak in products, what a training step of this size may be hoped to reach."""
BANDWIDTH_SHARE = 0.7
"""Of a card's peak bandwidth."""
CPU_RUNTIME = int(0.48 * GIB)
"""Interpreter and libraries; measured with torch 2.13."""
CARD_RUNTIME = int(0.5 * GIB)
"""CUDA's context and libraries: an assumption."""
CARD_CALL_S = 15e-6
"""Starting one operation on a card from Python; 14 to 18 on an H100."""
REPLAYED_CALL_S = 1.7e-6
"""One of a decode step's where they are replayed at once (policy/replays.py); on an H100."""

ITEMSIZE: dict[DtypeName, int] = {"float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True, slots=True)
class Device:
    """Where a run computes, and how fast. Speeds are those that are reached, not those that are advertised."""

    name: str
    card: bool
    """Whether it is a CUDA card; else the CPU."""
    memory: int
    """Bytes that the run may take."""
    dtype: DtypeName
    """Of the computation."""
    flops: float
    """Operations a second in products of `dtype`."""
    attention_flops: float
    """In attention, which a CPU computes in float32; half of what products reach."""
    bandwidth: float
    """Bytes a second."""
    call_s: float
    """Seconds of one small operation."""
    decode_call_s: float
    """Of one that a decode step of the engine's own layers is made of."""
    priced_as: str | None = None
    """The card whose price is asked; None for a CPU."""
    watts: float | None = None
    """What it draws at the most; None where that is not known."""
    assumptions: tuple[str, ...] = ()

    @property
    def itemsize(self) -> int:
        """Bytes of a number."""
        return ITEMSIZE[self.dtype]


def find_device(
    shape: ModelShape,
    compute_dtype: str = "auto",
    *,
    gpu: str | None = None,
    vram_gib: float | None = None,
) -> Device:
    """The card named, else a card of so much memory, else this machine's card, else its CPU.

    Args:
        shape: of the model: a CPU is measured at its shapes.
        compute_dtype: the recipe's model.compute_dtype.
        gpu: a card by name.
        vram_gib: its memory; wins over the table's.

    Raises:
        BadInput: the card is not in the table, or the memory is no positive number.
    """
    if vram_gib is not None and not 0 < vram_gib < 1e6:
        raise BadInput(f"--vram: got {vram_gib:g}; needs GiB, more than 0, such as 8")
    if gpu is not None:
        return on_card(_known(gpu), compute_dtype, vram_gib)
    if vram_gib is not None:
        return _as_the_slowest(None, vram_gib, compute_dtype)
    if (name := usable_card()) is None:
        return on_cpu(cpu_speed(shape.hidden, shape.intermediate), compute_dtype, available_bytes())
    card, memory = card_named(name), card_memory_gib()
    if card is None and memory is not None:
        return _as_the_slowest(name, memory, compute_dtype)
    return on_card(card or _known(name), compute_dtype, memory)


def _known(name: str) -> Card:
    """The card of that name, or BadInput with those that there are."""
    card = card_named(name)
    if card is not None:
        return card
    known = [card.name for card in cards()]
    hint = nearest(name.upper(), known) or f"; known are {', '.join(known)}."
    raise BadInput(f"--gpu: {name!r} is not in the table of cards{hint} Otherwise say its memory: --vram GIB")


def _as_the_slowest(name: str | None, vram_gib: float, compute_dtype: str) -> Device:
    """A card of which the memory alone is known: no slower than any in the table that has as much."""
    like = slowest_with(vram_gib)
    if like is None:
        largest = max(card.vram_gib for card in cards())
        raise BadInput(f"--vram: got {vram_gib:g}; no card in the table has more than {largest:g} GiB")
    device = on_card(like, compute_dtype, vram_gib)
    guess = f"taken for as slow as any known card of its memory, the {like.name}; --gpu names another"
    label = name or f"a card like the {like.name}"
    return replace(device, name=label, priced_as=name or like.name, assumptions=(guess, *device.assumptions))


def on_card(card: Card, compute_dtype: str, vram_gib: float | None = None) -> Device:
    """A card with its speed as its maker gives it, less what is never reached."""
    dtype: DtypeName = "float16" if card.name.startswith("V100") else "bfloat16"  # Volta has no bfloat16
    if compute_dtype != "auto":
        dtype = compute_dtype  # type: ignore[assignment]  # the recipe has checked it
    flops = FLOPS_SHARE * card.tflops * 1e12 / (8 if dtype == "float32" else 1)
    return Device(
        name=card.name,
        card=True,
        memory=int((card.vram_gib if vram_gib is None else vram_gib) * GIB),
        dtype=dtype,
        flops=flops,
        attention_flops=flops / 2,
        bandwidth=BANDWIDTH_SHARE * card.bandwidth_gb_s * 1e9,
        call_s=CARD_CALL_S,
        decode_call_s=REPLAYED_CALL_S,
        priced_as=card.name,
        watts=card.watts,
        assumptions=(
            f"{FLOPS_SHARE:.0%} of {card.tflops:g} TFLOP/s and {BANDWIDTH_SHARE:.0%} of {card.bandwidth_gb_s:g} GB/s "
            f"({card.source}); not measured on this card",
        ),
    )


def on_cpu(speed: CpuSpeed, compute_dtype: str, memory: int) -> Device:
    """This machine's CPU; its memory is what is free now."""
    refuse_float16(compute_dtype)
    dtype: DtypeName = speed.dtype if compute_dtype == "auto" else compute_dtype  # type: ignore[assignment]
    flops = {"float32": speed.float32, "bfloat16": speed.bfloat16}[dtype]
    return Device(
        name=f"cpu ({os.cpu_count()} threads)",
        card=False,
        memory=memory,
        dtype=dtype,
        flops=flops,
        attention_flops=speed.float32 / 2,
        bandwidth=speed.bandwidth,
        call_s=speed.call_s,
        decode_call_s=speed.call_s,
        assumptions=(speed.source.format(flops=flops / 1e9, dtype=dtype, bandwidth=speed.bandwidth / 1e9),),
    )


def room_on(device: Device) -> Room:
    """For a run that is not begun yet."""
    runtime = CARD_RUNTIME if device.card else CPU_RUNTIME
    return Room(device.memory, card=device.card, itemsize=device.itemsize, runtime=runtime)
