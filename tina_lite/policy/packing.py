"""Frozen weights laid out once, for products of few rows.

A CPU multiplies from a blocked layout, into which torch.nn.functional.linear brings a plain weight at every call: at
the 16 rows of a decode step that costs as much as half the product itself (bench/README.md).
"""

from functools import cache

import torch
from torch import Tensor


def can_pack(weight: Tensor) -> bool:
    return weight.device.type == "cpu" and torch.backends.mkldnn.is_available() and _is_known(weight.dtype)


@cache
def _is_known(dtype: torch.dtype) -> bool:
    """Tried once: for 16 bits the library wants a processor that has instructions for them."""
    ones = torch.ones(16, 16, dtype=dtype)
    try:
        packed_linear(ones, packed(ones), plus=ones)
    except RuntimeError:
        return False
    return True


def packed(weight: Tensor) -> Tensor:
    """A weight (out, in) in the layout that `packed_linear` reads; opaque, not for other use."""
    with torch.no_grad():
        blocked: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, None)  # as torch.compile does
    return blocked


def packed_linear(x: Tensor, weight: Tensor, bias: Tensor | None = None, plus: Tensor | None = None) -> Tensor:
    """x (N, in) to x W' + bias + plus (N, out), rounded once, without gradient."""
    y: Tensor
    if plus is None:
        y = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    else:
        y = torch.ops.mkldnn._linear_pointwise.binary(x, plus, weight, bias, "add")
    return y
