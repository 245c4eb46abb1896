"""What a run would run on: a card by its figures, or this CPU, measured for a second and kept for a day."""

import csv
import json
import os
import platform
import re
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from tina_lite.budget.rates import card_words
from tina_lite.policy.engine import refuse_float16
from tina_lite.policy.four_bit import rows_by_table
from tina_lite.policy.memory_request import MemoryBudget
from tina_lite.policy.shape import ModelShape
from tina_lite.recipe.schema import DtypeName
from tina_lite.util.device import card_memory_gib, cpu_threads, usable_card
from tina_lite.util.disk import user_folder
from tina_lite.util.errors import BadInput, nearest
from tina_lite.util.memory import available_bytes

PROBE_LIMIT_S = 60.0
KEPT_S = {False: 24 * 3600.0, True: 600.0}
"""By whether the machine was busy with something else, which makes it look slow."""
BUSY_LOAD = 0.5
"""Load average a core."""


@dataclass(frozen=True, slots=True)
class CpuSpeed:
    """Says what a CPU reaches."""

    float32: float
    """Operations a second in products."""
    bfloat16: float
    bandwidth: float
    """Bytes a second."""
    call_s: float
    """Seconds of a small operation."""
    dtype: Literal["float32", "bfloat16"]
    """What the engine would compute in."""
    source: str = "this CPU as measured: {flops:.0f} GFLOP/s in {dtype}, {bandwidth:.0f} GB/s"
    """For people to read."""


ASSUMED = CpuSpeed(
    1e11,
    1e11,
    1e10,
    1e-5,
    "float32",
    "this CPU could not be measured: {flops:.0f} GFLOP/s and {bandwidth:.0f} GB/s are assumed",
)


def cpu_speed(hidden: int, intermediate: int) -> CpuSpeed:
    """Give what was measured for these shapes, else measure now, which takes two to three seconds.

    Where it cannot be measured, a slow machine is assumed.
    """
    known = known_cpu_speed(hidden, intermediate)
    if known is not None:
        return known
    busy = is_busy()
    measured = _probe(hidden, intermediate)
    if measured is None:
        return ASSUMED
    _keep({**_read_kept(), _key(hidden, intermediate): {"at": time.time(), "busy": busy, **measured}})
    return CpuSpeed(**measured)


def known_cpu_speed(hidden: int, intermediate: int) -> CpuSpeed | None:
    """As kept for these shapes; None where it would have to be measured."""
    kept = _read_kept().get(_key(hidden, intermediate))
    if kept is None or not 0 <= time.time() - kept.pop("at") < KEPT_S[kept.pop("busy")]:
        return None
    return CpuSpeed(**kept)


def is_busy() -> bool:
    """Whether other work takes a good part of the cores."""
    return os.getloadavg()[0] > BUSY_LOAD * (os.cpu_count() or 1)


def _key(hidden: int, intermediate: int) -> str:
    key = f"{_cpu_name()}, {cpu_threads()} threads, torch {_torch_version()}, "
    return key + f"{hidden} x {intermediate}"


def cache_file() -> Path:
    """Where measurements are kept."""
    return user_folder("XDG_CACHE_HOME", "~/.cache") / "cpu_speed.json"


def _probe(hidden: int, intermediate: int) -> dict[str, Any] | None:
    command = [sys.executable, "-m", "tina_lite.plan.probe", str(hidden), str(intermediate)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_LIMIT_S, check=True)
        measured: dict[str, Any] = json.loads(done.stdout)
        CpuSpeed(**measured)  # another version's probe has other fields
    except (OSError, subprocess.SubprocessError, ValueError, TypeError):
        return None
    return measured


def _read_kept() -> dict[str, dict[str, Any]]:
    try:
        kept = json.loads(cache_file().read_text(encoding="utf-8"))
        fields = set(asdict(ASSUMED)) - {"source"} | {"at", "busy"}
        return {key: value for key, value in kept.items() if set(value) == fields}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _keep(kept: dict[str, dict[str, Any]]) -> None:
    try:
        cache_file().parent.mkdir(parents=True, exist_ok=True)
        cache_file().write_text(json.dumps(kept, indent=1), encoding="utf-8")
    except OSError:
        pass  # measured anew the next time


def _torch_version() -> str:
    try:
        return version("torch")
    except PackageNotFoundError:
        return "none"


def _cpu_name() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            lines = dict(line.split(":", 1) for line in file if ":" in line)
        names = [lines[key].strip() for key in lines if key.strip() in ("model name", "flags")]
        return f"{names[0]} {_short(names[-1])}" if names else platform.processor()
    except (OSError, ValueError):
        return platform.processor()


def _short(text: str) -> str:
    """A short name of a long text: virtual machines call CPUs with and without AMX alike."""
    from hashlib import blake2b

    return blake2b(text.encode(), digest_size=4).hexdigest()


@dataclass(frozen=True, slots=True)
class Card:
    """Describes one card as its maker does."""

    name: str
    vram_gib: float
    tflops: float
    """Dense products in 16 bits with 32-bit accumulation."""
    bandwidth_gb_s: float
    watts: float
    """Of the board at the most."""
    capability: str
    """CUDA's word for its generation."""
    source: str


@cache
def cards() -> tuple[Card, ...]:
    """Read all cards, in the file's order."""
    text = (Path(__file__).parent / "gpu_speed.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    return tuple(
        Card(
            name=row["gpu"],
            vram_gib=float(row["vram_gib"]),
            tflops=float(row["tflops"]),
            bandwidth_gb_s=float(row["bandwidth_gb_s"]),
            watts=float(row["watts"]),
            capability=row["capability"],
            source=row["source"],
        )
        for row in rows
    )


def card_named(name: str) -> Card | None:
    """Find the card that a person or a driver calls so; of several sizes of one, the smallest.

    >>> card_named("4090").name, card_named("NVIDIA GeForce RTX 4090").name, card_named("a100").name
    ('RTX 4090', 'RTX 4090', 'A100 SXM4 40GB')
    >>> card_named("NVIDIA A100-SXM4-80GB").name
    'A100 PCIE 80GB'
    >>> card_named("RTX 3080 Ti"), card_named("RTX 4090 Laptop GPU"), card_named("")
    (None, None, None)
    """
    words, gigabytes = _words(name)
    fitting = [
        card
        for card in cards()
        if words and words == _words(card.name)[0] and (not gigabytes or gigabytes == {f"{card.vram_gib:g}gb"})
    ]
    return min(fitting, key=lambda card: card.vram_gib, default=None)


def slowest_with(vram_gib: float) -> Card | None:
    """The slowest card of at least so much memory: what can be promised of a card that is known by its memory alone."""
    fitting = [card for card in cards() if card.vram_gib >= vram_gib]
    return min(fitting, key=lambda card: (card.bandwidth_gb_s, card.tflops), default=None)


def _words(name: str) -> tuple[set[str], set[str]]:
    """What tells one model from another in a name, and its memory where that is part of the name."""
    words = card_words(name)
    gigabytes = {word for word in words if re.fullmatch(r"\d+gb", word)}
    return words - gigabytes, gigabytes


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
"""One of a decode step's where they are replayed at once (policy/dense/cuda_graphs.py); on an H100."""

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
    capability: str = ""
    """Of a card."""
    assumptions: tuple[str, ...] = ()

    @property
    def itemsize(self) -> int:
        """Bytes that a number takes."""
        return ITEMSIZE[self.dtype]


def find_device(
    shape: ModelShape,
    compute_dtype: str = "auto",
    *,
    gpu: str | None = None,
    vram_gib: float | None = None,
) -> Device:
    """Find the card named, else a card of so much memory, else this machine's card, else its CPU.

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
        capability=card.capability if dtype != "float32" else "",
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
        name=f"cpu ({cpu_threads()} threads)",
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


def room_on(device: Device, shape: ModelShape) -> MemoryBudget:
    """For a run of such a model that is not begun yet."""
    return MemoryBudget(
        device.memory,
        card=device.card,
        itemsize=device.itemsize,
        runtime=CARD_RUNTIME if device.card else CPU_RUNTIME,
        rows_in_4_bits=rows_by_table(device.capability, shape),
    )
