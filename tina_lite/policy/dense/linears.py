"""Linear modules that read the same input, with their adapters, as one product: y = x W' + s (x A') B'.

A stacks the adapters' rows, B is block-diagonal. Training (forward.py) keeps base and adapter apart, as peft does. So
does sampling (decoder.py), but for float32 on a CPU: there it has a packed copy of its own, W + s B A, made anew after
each update from W and not from the last sum, so that roundings do not add up. In bfloat16 that sum would be W again:
an update of 1e-5 is less than half a step of its grid, and the sampler would go on with the policy of yesterday.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tina_lite.policy.adapters import in_dtype
from tina_lite.policy.dense.half_sums import add_product


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
    """Take x (N, in) to x W' + bias + plus (N, out), rounded once, without gradient."""
    y: Tensor
    if plus is None:
        y = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    else:
        y = torch.ops.mkldnn._linear_pointwise.binary(x, plus, weight, bias, "add")
    return y


def base_weight(module: Any) -> Tensor:
    """The frozen weight of a linear module, (out, in), dequantised where it is in 4 bits."""
    import bitsandbytes as bnb

    base = getattr(module, "base_layer", module)
    if isinstance(base, bnb.nn.Linear4bit):
        weight: Tensor = bnb.functional.dequantize_4bit(base.weight.data, base.weight.quant_state)
        return weight
    plain: Tensor = base.weight.detach()
    return plain


Addends = tuple[Tensor, ...]
"""Of one shape, and to be added up."""
MOST_IN_4_BITS = 512
"""Rows; a prompt that is read has more, and its product is faster with the weight dequantised first."""


class Codes:
    """A weight (out, in) as NF4 codes."""

    def __init__(self, codes: Tensor, scales: Tensor, block: int, shape: list[int]) -> None:
        """`codes`: (out x in / 2, 1) bytes; `scales`: float32, one for each `block` of weights in a row."""
        self._codes, self._scales, self._block, self._shape = codes, scales, block, shape

    @classmethod
    def joined(cls, modules: Sequence[Any]) -> "Codes":
        """Those of modules, one above the other; the modules go on with a part of the same memory."""
        bases = [getattr(module, "base_layer", module) for module in modules]
        states = [base.weight.quant_state for base in bases]
        for state in states:
            _un_nest(state)
        shape = [sum(module.out_features for module in modules), modules[0].in_features]
        codes = torch.cat([base.weight.data for base in bases])
        scales = torch.cat([state.absmax for state in states])
        parts = codes.split([len(base.weight.data) for base in bases])
        scale_parts = scales.split([len(state.absmax) for state in states])
        for base, state, its_codes, its_scales in zip(bases, states, parts, scale_parts, strict=True):
            base.weight.data, state.absmax = its_codes, its_scales
        return cls(codes, scales, states[0].blocksize, shape)

    def product(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """Take x (N, in) to x W' + bias, by bitsandbytes' product that reads the codes."""
        y: Tensor = torch.ops.bitsandbytes.gemm_4bit(
            x, self._codes, self._shape, self._scales, self._block, "nf4", bias
        )
        return y

    def dequantised(self, dtype: torch.dtype) -> Tensor:
        """The weight (out, in)."""
        weight: Tensor = torch.ops.bitsandbytes.dequantize_4bit(
            self._codes, self._scales, self._block, "nf4", self._shape, dtype
        )
        return weight


def can_join(modules: Sequence[Any]) -> bool:
    """Whether the modules are in NF4, and a block of weights never reaches from a row into the next."""
    import bitsandbytes as bnb

    bases = [getattr(module, "base_layer", module) for module in modules]
    return all(
        isinstance(base, bnb.nn.Linear4bit)
        and base.weight.quant_state.quant_type == "nf4"
        and base.in_features % base.weight.quant_state.blocksize == 0
        for base in bases
    )


def _un_nest(state: Any) -> None:
    """Scales that are quantised themselves are written out, in float32."""
    import bitsandbytes as bnb

    if state.nested:
        state.absmax = bnb.functional.dequantize_blockwise(state.absmax, state.state2).float() + state.offset
        state.nested, state.state2, state.offset = False, None, None


class FusedLinear:
    """Linear modules that read the same input, with their adapters, as one."""

    def __init__(
        self, modules: Sequence[Any], dtype: torch.dtype, dense_copy: bool, *, in_4_bits: bool = False
    ) -> None:
        """`dense_copy` keeps the dense weight; else it is dequantised at each use, slower and without its memory.

        `in_4_bits` has no copy either, and few rows are multiplied with the codes themselves.
        """
        self._modules = modules
        self._dtype = dtype
        biases = [getattr(module, "base_layer", module).bias for module in modules]
        self.bias = None if biases[0] is None else torch.cat([bias.detach().to(dtype) for bias in biases])
        self._codes = Codes.joined(modules) if in_4_bits and can_join(modules) else None
        self._weight = self.dense() if dense_copy and self._codes is None else None
        self._packed: Tensor | None = None  # for sampling: base and adapter in one, or the base alone
        self._merges = dtype == torch.float32
        self.outputs: int = sum(module.out_features for module in modules)
        self._adapted = any(hasattr(module, "lora_A") for module in modules)
        self.dropout: float = max((_dropout(module) for module in modules), default=0.0)
        self._sampling_adapter: tuple[Tensor, Tensor] | None = None  # as of the last refresh

    def dense(self) -> Tensor:
        if self._codes is not None:
            return self._codes.dequantised(self._dtype)
        return torch.cat([base_weight(module).to(self._dtype) for module in self._modules])

    @property
    def weight(self) -> Tensor:
        """Give the weight (out, in) without adapter."""
        return self.dense() if self._weight is None else self._weight

    def adapter(self) -> tuple[Tensor, Tensor] | None:
        """A (R, in), and B (out, R) with its scaling; R is the sum of the ranks. Gradients reach the parameters."""
        if not self._adapted:
            return None
        down, up = [], []
        for module in self._modules:
            if hasattr(module, "lora_A"):
                down.append(in_dtype(module.lora_A["default"].weight, self._dtype))
                up.append(in_dtype(module.lora_B["default"].weight, self._dtype) * module.scaling["default"])
            else:
                up.append(torch.zeros(module.out_features, 0, dtype=self._dtype, device=module.weight.device))
        return torch.cat(down), torch.block_diag(*up)

    @torch.no_grad()
    def refresh(self) -> None:
        adapter = self.adapter()
        packs = self._weight is not None and can_pack(self._weight)
        merges = packs and self._merges and adapter is not None
        self._sampling_adapter = None if merges else adapter
        if packs and (merges or self._packed is None):
            self._packed = packed(self._with(adapter) if merges else self.weight)

    def _with(self, adapter: tuple[Tensor, Tensor] | None) -> Tensor:
        return self.weight if adapter is None else torch.addmm(self.weight, adapter[1], adapter[0])

    def __call__(self, x: Tensor) -> Tensor:
        """For sampling: x (N, in) to (N, out), without gradient; in float32 where it has two addends."""
        return sum_of(self.addends(x))

    def addends(self, x: Tensor) -> Addends:
        """What `__call__` is the sum of: product and adapter apart where the product comes from codes.

        It is rounded to 16 bits, and rounded again a small adapter would be lost: so their sum is in float32, and who
        takes it rounds after the next operation, when what is rounded lies on no grid any more.
        """
        adapter = self._sampling_adapter
        low_rank = None if adapter is None else x @ adapter[0].T @ adapter[1].T
        if self._codes is not None and len(x) <= MOST_IN_4_BITS:
            y = self._codes.product(x, self.bias)
            return (y,) if low_rank is None else (y, low_rank)
        if self._packed is not None:
            return (packed_linear(x, self._packed, self.bias, low_rank),)
        return (F.linear(x, self.weight, self.bias) if low_rank is None else linear_plus(low_rank, x, self),)


def sum_of(addends: Addends) -> Tensor:
    """Of one the same, of several in float32."""
    first, *others = addends
    for other in others:
        first = first.float() + other
    return first


def linear_plus(plus: Tensor, x: Tensor, linear: FusedLinear, *, half_sums: bool = False) -> Tensor:
    """Write x W' + bias + plus into the place of `plus`; `half_sums` says how (half_sums.py).

    The sum is rounded once: added to a product that was rounded to 16 bits before, a small adapter would be lost.
    """
    y = add_product(plus, x, linear.weight) if half_sums else plus.addmm_(x, linear.weight.T)
    return y if linear.bias is None else y.add_(linear.bias)


def _dropout(module: Any) -> float:
    return float(getattr(module.lora_dropout["default"], "p", 0.0)) if hasattr(module, "lora_dropout") else 0.0
