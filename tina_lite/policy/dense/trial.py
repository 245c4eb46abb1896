"""Ways of multiplying timed on this card: a decode step's in 4 bits or not, an update's with sums in 16 bits or not."""

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import takewhile
from typing import Literal

import torch
from torch import Tensor

from tina_lite.policy.dense.attention import agree
from tina_lite.policy.dense.half_sums import add_product
from tina_lite.policy.dense.linears import Codes
from tina_lite.policy.four_bit import Rows, products
from tina_lite.policy.shape import ModelShape
from tina_lite.util.stateful import Product

TRIED = (8, 16, 24, 32, 48, 64, 96, 128)
"""Rows."""
COPIES = 16
CLOSE = 0.02
"""Relative difference of two products in 16 bits."""
Way = Literal["4 bits", "copy", "dequantised"]


def measured_rows(shape: ModelShape, device: torch.device, dtype: torch.dtype) -> Rows:
    """What this card shows, in a second or two; nothing where it cannot multiply so, or multiplies something else."""
    found: dict[Product, int] = {}
    for name, (out, into) in products(shape).items():
        with suppress(RuntimeError):  # no such kernel, one that cannot be recorded, or no memory for it
            trial = ProductTrial(out, into, device, dtype)
            if rows := max(takewhile(trial.is_won_with, TRIED), default=0):
                found[name] = rows
    return found


class ProductTrial:
    """One product in its three ways, from weights that no cache of a card holds all at once."""

    def __init__(self, out: int, into: int, device: torch.device, dtype: torch.dtype) -> None:
        import bitsandbytes as bnb

        self._draw = partial(torch.randn, device=device, dtype=dtype, generator=torch.Generator(device).manual_seed(1))
        self._into, self._dtype = into, dtype
        codes, state = bnb.functional.quantize_4bit(self._draw(out, into), quant_type="nf4")
        self._codes = [Codes(codes.clone(), state.absmax, state.blocksize, [out, into]) for _ in range(COPIES)]
        self._dense = [one.dequantised(dtype) for one in self._codes]

    def product(self, way: Way, x: Tensor, number: int) -> Tensor:
        """Take x (rows, in) to (rows, out), from one of the `COPIES` weights."""
        if way == "4 bits":
            return self._codes[number].product(x)
        weight = self._dense[number] if way == "copy" else self._codes[number].dequantised(self._dtype)
        return x @ weight.T

    def is_won_with(self, rows: int) -> bool:
        """Whether so many rows are multiplied faster in 4 bits than from a copy."""
        return self.seconds("4 bits", rows) < self.seconds("copy", rows)

    def seconds(self, way: Way, rows: int) -> float:
        """Of one product. RuntimeError where it cannot be computed, or comes to something else than from the copy."""
        x = self._draw(rows, self._into)
        ours, theirs = (self.product(one, x, 0).float() for one in (way, "copy"))
        if not agree([ours], [theirs], CLOSE):
            raise RuntimeError(f"the product by {way} is another one")
        return timed(lambda: [self.product(way, x, number) for number in range(COPIES)]) / COPIES


@torch.no_grad()
def half_sums_share(device: torch.device | str, tokens: int = 4096, out: int = 17920, into: int = 1536) -> float:
    """Seconds of a product with sums in float16 as a share of those in bfloat16; by default a 1.5B model's largest."""
    x, weight = (torch.ones(rows, into, dtype=torch.bfloat16, device=device) for rows in (tokens, out))
    sums = torch.zeros(tokens, out, dtype=torch.bfloat16, device=device)
    ways: list[Callable[[], Tensor]] = [partial(add_product, sums, x, weight), partial(sums.addmm_, x, weight.T)]
    for way in ways:
        way()  # kernels are loaded
    ours, theirs = (timed(way) for way in ways)
    return ours / theirs


def timed(work: Callable[[], object]) -> float:
    """Seconds of work on a card as a decode step does it: recorded, and replayed. Elsewhere as it comes."""
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
