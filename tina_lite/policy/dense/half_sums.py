"""Products whose sums are kept in float16, which GeForce cards multiply twice as fast in as with sums in float32.

A row is divided by a power of two first, so that its largest value is below 1: no sum of a model's weights comes near
what float16 holds then, and none is lost below it. On activations and gradients of SmolLM2-135M the error is 1.1 to 1.3
times that of the same product in bfloat16, which is rounded to 8 binary digits at its end (bench/README.md).
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from tina_lite.policy.memory_request import HALF_SUM_ROWS

LEAST_EXPONENT = -100
"""A row of smaller values is as good as zeros, and its power could not be divided by."""


def add_product(out: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """Add x W' to `out` (M, out) in place, rounding once; without gradient.

    Args:
        x: (M, in).
        weight: (out, in).
    """
    halves = weight.to(torch.float16).T
    with sums_in_float16():
        for rows, into in zip(x.split(HALF_SUM_ROWS), out.split(HALF_SUM_ROWS), strict=True):
            scale = power_of_two(rows)
            product = ((rows / scale).to(torch.float16) @ halves).float().mul_(scale)
            into.copy_(product.add_(into))
    return out


def power_of_two(rows: Tensor) -> Tensor:
    """The next above the largest magnitude of each row (M, K): (M, 1) in float32."""
    _, exponents = torch.frexp(rows.abs().amax(dim=-1, keepdim=True).float())
    return exponents.clamp_min(LEAST_EXPONENT).float().exp2()


@contextmanager
def sums_in_float16() -> Iterator[None]:
    """For products in float16 on a card; others keep theirs in float32."""
    products = torch.backends.cuda.matmul
    before = products.allow_fp16_accumulation
    products.allow_fp16_accumulation = True
    try:
        yield
    finally:
        products.allow_fp16_accumulation = before
