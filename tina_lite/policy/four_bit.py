"""Up to how many sequences a decode step's products are faster in 4 bits than from a dense copy.

By a table where a run is planned, and measured where a card is there. The product is bitsandbytes' gemm_4bit, which
reads 0.56 bytes a weight; with many rows, or few outputs of long rows, it is slower than a product in 16 bits.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING, Literal

from tina_lite.policy.shape import ModelShape
from tina_lite.util.stateful import Product

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Rows = Mapping[Product, int]
SMALLEST = 4 * 1024 * 1024
"""Weights; of fewer, bitsandbytes dequantises instead."""
BY_CAPABILITY: Mapping[str, Rows] = {
    "8.6": {"gate_up": 128, "down": 64},
    "8.9": {"gate_up": 128, "down": 12},
    "12.0": {"gate_up": 128, "down": 8},
}
"""Where bitsandbytes 0.50 takes its fused kernel for the shapes of a 1.5B model, by compute capability.

Taken from its thresholds, not measured here. Cards with HBM (8.0, 9.0, 10.0) lose early, and Volta has no such kernel.
"""
TRIED = (8, 16, 24, 32, 48, 64, 96, 128)
"""Rows."""
COPIES = 16
CLOSE = 0.02
"""Relative difference of two products in 16 bits."""
Way = Literal["4 bits", "copy", "dequantised"]
BYTES: Mapping[Way, float] = {"4 bits": 0.5625, "copy": 2.0, "dequantised": 0.5625 + 2 + 2}
"""That a weight takes, read and written."""


def products(shape: ModelShape) -> dict[Product, tuple[int, int]]:
    """The (out, in) of the products that may be in 4 bits."""
    sizes: dict[Product, tuple[int, int]] = {
        "gate_up": (2 * shape.intermediate, shape.hidden),
        "down": (shape.hidden, shape.intermediate),
    }
    return {name: (out, into) for name, (out, into) in sizes.items() if out * into >= SMALLEST and into % 64 == 0}


def rows_by_table(capability: str, shape: ModelShape) -> Rows:
    """What is assumed of a card that is not there."""
    known = BY_CAPABILITY.get(capability, {})
    return {name: known[name] for name in products(shape) if name in known}


def measured_rows(shape: ModelShape, device: "torch.device", dtype: "torch.dtype") -> Rows:
    """What this card shows, in a second or two; nothing where it cannot multiply so, or multiplies something else."""
    found: dict[Product, int] = {}
    for name, (out, into) in products(shape).items():
        with suppress(RuntimeError):  # no such kernel, one that cannot be recorded, or no memory for it
            trial = Trial(out, into, device, dtype)
            if rows := max(takewhile(trial.is_won_with, TRIED), default=0):
                found[name] = rows
    return found


class Trial:
    """One product in its three ways, from weights that no cache of a card holds all at once."""

    def __init__(self, out: int, into: int, device: "torch.device", dtype: "torch.dtype") -> None:
        import bitsandbytes as bnb
        import torch

        self._draw = partial(torch.randn, device=device, dtype=dtype, generator=torch.Generator(device).manual_seed(1))
        self._into, drawn = into, self._draw(out, into)
        codes, self._state = bnb.functional.quantize_4bit(drawn, quant_type="nf4")
        self._codes = [codes.clone() for _ in range(COPIES)]
        self._dense = [bnb.functional.dequantize_4bit(codes, self._state) for _ in range(COPIES)]
        self._dequantise = bnb.functional.dequantize_4bit

    def product(self, way: Way, x: "Tensor", number: int) -> "Tensor":
        """Take x (rows, in) to (rows, out), from one of the `COPIES` weights."""
        import torch

        if way == "4 bits":
            scales, block = self._state.absmax, self._state.blocksize
            y: Tensor = torch.ops.bitsandbytes.gemm_4bit(
                x, self._codes[number], self._dense[0].shape, scales, block, "nf4"
            )
            return y
        weight: Tensor = self._dense[number]
        if way == "dequantised":
            weight = self._dequantise(self._codes[number], self._state)
        return x @ weight.T

    def is_won_with(self, rows: int) -> bool:
        """Whether so many rows are multiplied faster in 4 bits than from a copy."""
        return self.seconds("4 bits", rows) < self.seconds("copy", rows)

    def seconds(self, way: Way, rows: int) -> float:
        """Of one product. RuntimeError where it cannot be computed, or comes to something else than from the copy."""
        x = self._draw(rows, self._into)
        ours, theirs = (self.product(one, x, 0).float() for one in (way, "copy"))
        if (ours - theirs).norm() > CLOSE * theirs.norm():
            raise RuntimeError(f"the product by {way} is another one")
        return timed(lambda: [self.product(way, x, number) for number in range(COPIES)]) / COPIES


def timed(work: Callable[[], object]) -> float:
    """Seconds of work on a card as a decode step does it: recorded, and replayed. Elsewhere as it comes."""
    import torch

    if not torch.cuda.is_available():
        started = time.perf_counter()
        work()
        return time.perf_counter() - started
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    graph.replay()
    begin.record()
    graph.replay()
    end.record()
    torch.cuda.synchronize()
    return float(begin.elapsed_time(end)) / 1000
