"""The differentiable pieces of a layer, each with its backward pass written out.

Autograd would do the same from elementary operations, but each of those reads and writes the whole activation and
keeps it: these save their inputs alone, and pass over memory as few times as they can. M tokens are packed, without
padding. Every function is checked against autograd in float64.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tina_lite.policy.dense.half_sums import add_product
from tina_lite.policy.dense.linears import FusedLinear, linear_plus


class _AdaptedLinear(torch.autograd.Function):
    """y = x W' + bias + (z A') B'; the frozen W takes no gradient and is not kept, so that it may be dequantised anew.

    dz = dy B A, dx = dy W, dA = (dy B)' z, dB = dy' (z A').
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, z: Tensor, linear: FusedLinear, half_sums: bool, a: Tensor, b: Tensor) -> Tensor:
        low = z @ a.T  # (M, R)
        ctx.linear, ctx.half_sums = linear, half_sums
        ctx.save_for_backward(z, low, a, b)
        return linear_plus(low @ b.T, x, linear, half_sums=half_sums)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, Tensor, Tensor]:
        (dy,), (z, low, a, b) = grads, ctx.saved_tensors
        dlow = dy @ b  # (M, R)
        dx = _back(dy, ctx.linear, ctx.half_sums) if ctx.needs_input_grad[0] else None
        dz = dlow @ a if ctx.needs_input_grad[1] else None
        return dx, dz, None, None, dlow.T @ z, dy.T @ low


class _FrozenLinear(torch.autograd.Function):
    """y = x W' + bias, with W as above."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, linear: FusedLinear, half_sums: bool) -> Tensor:
        ctx.linear, ctx.half_sums = linear, half_sums
        if half_sums:
            return linear_plus(x.new_zeros(len(x), linear.outputs), x, linear, half_sums=True)
        return F.linear(x, linear.weight, linear.bias)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return _back(grads[0], ctx.linear, ctx.half_sums), None, None


def _back(dy: Tensor, linear: FusedLinear, half_sums: bool) -> Tensor:
    weight = linear.weight
    return add_product(dy.new_zeros(len(dy), weight.shape[1]), dy, weight.T) if half_sums else dy @ weight


def adapted_linear(
    x: Tensor, linear: FusedLinear, *, adapter: bool = True, dropout: bool = False, half_sums: bool = False
) -> Tensor:
    """(M, in) to (M, out); `dropout` drops from what the adapter reads, as peft does.

    `half_sums` is for the products with the frozen weight (half_sums.py).
    """
    tensors = linear.adapter() if adapter else None
    if tensors is None:
        frozen: Tensor = _FrozenLinear.apply(x, linear, half_sums)  # type: ignore[no-untyped-call]
        return frozen
    z = F.dropout(x, linear.dropout) if dropout and linear.dropout else x
    y: Tensor = _AdaptedLinear.apply(x, z, linear, half_sums, *tensors)  # type: ignore[no-untyped-call]
    return y


class _RMSNorm(torch.autograd.Function):
    """y = x r w with r = 1 / sqrt(mean(x^2) + eps); dx = r (g - x r^2 mean(g x)), with g = dy w."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        scale = inverse_rms(x, epsilon)
        ctx.save_for_backward(x, weight, scale)
        return (x * scale).mul_(weight).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        x, weight, scale = ctx.saved_tensors
        g = grads[0] * weight
        mean = (g * x).sum(-1, keepdim=True, dtype=scale.dtype) / x.shape[-1]
        dx = (g * scale).addcmul_(x, scale**3 * mean, value=-1)
        return dx.to(x.dtype), None, None


def normed(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    """Root-mean-square norm over the last dimension, without gradient."""
    if x.device.type == "cuda" and x.dtype == weight.dtype:
        return F.rms_norm(x, weight.shape, weight, epsilon)  # one kernel
    return (x * inverse_rms(x, epsilon)).mul_(weight).to(x.dtype)


def inverse_rms(x: Tensor, epsilon: float) -> Tensor:
    """1 / sqrt(mean(x^2) + epsilon) over the last dimension, kept, at least float32."""
    wide = torch.promote_types(x.dtype, torch.float32)
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=wide)
    scale: Tensor = (norm.square() / x.shape[-1] + epsilon).rsqrt()
    return scale


def rms_norm(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    """`normed`, differentiable in x; the weight is frozen."""
    y: Tensor = _RMSNorm.apply(x, weight, epsilon)  # type: ignore[no-untyped-call]
    return y


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Embed positions by rotation: each pair (x_i, x_{i + d/2}) turns by its angle.

    Args:
        x: (M, heads, d), of which the last heads may be values that do not turn.
        cos, sin: (M, turning heads or 1, d / 2).
    """
    heads, half = cos.shape[1], x.shape[-1] // 2
    left, right = x[:, :heads].chunk(2, dim=-1)
    if torch.compiler.is_compiling():  # it has no `out` for a part of a tensor
        turned = torch.cat((left * cos - right * sin, right * cos + left * sin), dim=-1)
        return torch.cat((turned, x[:, heads:]), dim=1)
    y = torch.empty_like(x)
    y[:, heads:] = x[:, heads:]
    torch.mul(left, cos, out=y[:, :heads, :half]).addcmul_(right, sin, value=-1)
    torch.mul(right, cos, out=y[:, :heads, half:]).addcmul_(left, sin)
    return y


class _Rotate(torch.autograd.Function):
    """The gradient of a rotation is the rotation back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return rotate(x, cos, sin)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        return rotate(grads[0], cos, -sin), None, None


def rotary(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Do what `rotate` does, differentiably."""
    y: Tensor = _Rotate.apply(x, cos, sin)  # type: ignore[no-untyped-call]
    return y


class _SwiGLU(torch.autograd.Function):
    """y = silu(gate) up."""

    @staticmethod
    def forward(ctx: Any, gate_up: Tensor) -> Tensor:
        ctx.save_for_backward(gate_up)
        gate, up = gate_up.chunk(2, dim=-1)
        return F.silu(gate).mul_(up)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (dy,), (gate_up,) = grads, ctx.saved_tensors
        gate, up = gate_up.chunk(2, dim=-1)
        out = torch.empty_like(gate_up)
        d_gate, d_up = out.chunk(2, dim=-1)
        torch.mul(dy, F.silu(gate), out=d_up)
        d_gate.copy_(torch.ops.aten.silu_backward(dy * up, gate))
        return out


def swiglu(gate_up: Tensor) -> Tensor:
    """Take (M, 2 I) to (M, I): silu of the first half times the second."""
    y: Tensor = _SwiGLU.apply(gate_up)  # type: ignore[no-untyped-call]
    return y


class _Pad(torch.autograd.Function):
    """A gather whose gradient is a gather too, where autograd would add up row by row."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, places: Tensor, real: Tensor) -> Tensor:
        ctx.save_for_backward(real)
        return x.index_select(0, places)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (real,) = ctx.saved_tensors
        return grads[0].index_select(0, real), None, None


def pad(x: Tensor, places: Tensor, real: Tensor) -> Tensor:
    """Take packed rows (M, ...) to padded ones (L, ...).

    Args:
        places: (L,), the packed row at each padded place; any row where there is padding, which must not matter.
        real: (M,), the padded place of each packed row.
    """
    y: Tensor = _Pad.apply(x, places, real)  # type: ignore[no-untyped-call]
    return y


def rows_of(x: Tensor, rows: Tensor) -> Tensor:
    """x (M, ...) at rows (K,), of which some may be asked for again and again, as a prompt's last token is.

    The gradients of one row add up: on a card index_select does that in any order, and two runs would differ.
    """
    return x[rows] if x.device.type == "cuda" else x.index_select(0, rows)
