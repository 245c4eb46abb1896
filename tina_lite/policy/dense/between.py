"""What a decode step computes between its matrix products, each stretch of it one kernel where torch can compile it.

As it comes, a card launches a kernel for each operation, and none of them has much to do for a token of each sequence.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial

import torch
import torch.nn.functional as F
from torch import Tensor

from tina_lite.policy.dense.attention import agree
from tina_lite.policy.dense.autograd_ops import normed, rotate
from tina_lite.policy.dense.linears import Addends, sum_of
from tina_lite.policy.shape import ModelShape
from tina_lite.util.errors import one_line

ROWS = (8, 24)
"""Of two sizes, so that what is compiled is for any."""


@dataclass(frozen=True, slots=True)
class Between:
    """The stretches of a layer, without gradient."""

    add_and_norm: Callable[[Tensor, Addends, Tensor, float], tuple[Tensor, Tensor]]
    rotate: Callable[[Tensor, Tensor, Tensor], Tensor]
    gate: Callable[[Addends, torch.dtype], Tensor]


def add_and_norm(hidden: Tensor, plus: Addends, weight: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """Add what a block came to to hidden states (M, H); the sum, and its root-mean-square norm."""
    hidden = (hidden + sum_of(plus)).to(hidden.dtype)
    return hidden, normed(hidden, weight, epsilon)


def gate(gate_up: Addends, dtype: torch.dtype) -> Tensor:
    """Take (M, 2 I) to (M, I): silu of the first half times the second."""
    first, second = sum_of(gate_up).chunk(2, dim=-1)
    return F.silu(first).mul_(second).to(dtype)


AS_IT_COMES = Between(add_and_norm, rotate, gate)


def between_on(device: torch.device, dtype: torch.dtype, shape: ModelShape, epsilon: float) -> Between:
    """What a device decodes with: compiled on a card, as it comes elsewhere and where that fails."""
    if device.type != "cuda":
        return AS_IT_COMES
    try:
        return compiled(device, dtype, shape, epsilon)
    except (RuntimeError, ImportError, OSError) as error:  # no compiler, none for this card, no room for its files
        warnings.warn(f"decoding is slower: torch cannot compile for this card ({one_line(error)})", stacklevel=2)
        return AS_IT_COMES


@cache
@torch.no_grad()
def compiled(device: torch.device, dtype: torch.dtype, shape: ModelShape, epsilon: float) -> Between:
    """Once in a process, in some seconds; torch keeps it on disk for the next.

    Deterministic, as torch would pick kernels by their time else, and a run that is resumed could round otherwise. In
    this process, as it would start one for each core else, for a dozen small kernels.

    Raises:
        RuntimeError: torch cannot, or what it made comes to something else.
    """
    compiler = partial(torch.compile, options={"deterministic": True, "compile_threads": 1})
    ours = Between(compiler(add_and_norm), compiler(rotate), compiler(gate))
    for rows in ROWS:
        outputs = example(rows, device, dtype, shape, epsilon)
        if not agree(outputs(ours), outputs(AS_IT_COMES)):
            raise RuntimeError("what it made comes to something else")
    return ours


def example(
    rows: int,
    device: torch.device,
    dtype: torch.dtype,
    shape: ModelShape,
    epsilon: float,
    addends: Sequence[int] = (1, 2),
) -> Callable[[Between], list[Tensor]]:
    """Every stretch on so many drawn tokens, where a product comes to so many addends; from a Between, its outputs."""
    draw = partial(torch.randn, device=device, dtype=dtype, generator=torch.Generator(device).manual_seed(rows))
    turning = shape.heads + shape.kv_heads
    heads = draw(rows, turning + shape.kv_heads, shape.head_dim)
    cos, sin = draw(2, rows, 1, shape.head_dim // 2).expand(-1, -1, turning, -1)
    hidden, weight = draw(rows, shape.hidden), draw(shape.hidden)
    blocks = [draw(count, rows, shape.hidden).unbind() for count in addends]
    gates = [draw(count, rows, 2 * shape.intermediate).unbind() for count in addends]

    def outputs(between: Between) -> list[Tensor]:
        sums = [out for block in blocks for out in between.add_and_norm(hidden, block, weight, epsilon)]
        return [between.rotate(heads, cos, sin), *sums, *(between.gate(one, dtype) for one in gates)]

    return outputs
