"""A card that is none: tensors that say they are on cuda, compute on the CPU, and refuse to meet a tensor of the CPU.

What would raise on a real card, an index or a mask that was not brought there, raises here, on any machine; values are
real, so that whole rollouts and updates run. It follows CUDA's rules for what may meet: a number without dimensions may
come from the CPU, so may indices, and copies go either way.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

CARD = torch.device("cuda")
aten = torch.ops.aten
GOES_BETWEEN = {aten.copy_, aten._to_copy}
MADE_LIKE_THE_FIRST = {torch._C._nn.pad_sequence}
"""Makes its result where the first tensor is, without asking this module."""
_PLACE = (str, torch.device, Tensor)
INDEXES = {aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_, aten._unsafe_index}


class OnTheCpu(RuntimeError):
    """A tensor of the CPU met one of the card."""


class OnCard(Tensor):
    """Holds the real tensor; says that it is on the card."""

    inside: Tensor

    @staticmethod
    def __new__(cls, real: Tensor) -> "OnCard":
        card: OnCard = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, real.size(), strides=real.stride(), storage_offset=real.storage_offset(), dtype=real.dtype,
            device="cpu", requires_grad=real.requires_grad,
        )  # fmt: skip
        card.inside = real.detach()
        return card

    __torch_function__ = torch._C._disabled_torch_function_impl

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return CARD

    @property
    def is_cuda(self) -> bool:  # type: ignore[override]
        return True

    def __repr__(self) -> str:  # type: ignore[override]
        return f"OnCard({self.inside!r})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        _refuse_strangers(func, args, kwargs)
        out = func(*tree_map(_real, args), **tree_map(_real, kwargs))
        return return_and_correct_aliasing(func, args, kwargs, tree_map(_card, out))


def _real(value: Any) -> Any:
    return value.inside if isinstance(value, OnCard) else value


def _card(value: Any) -> Any:
    return OnCard(value) if isinstance(value, Tensor) and not isinstance(value, OnCard) else value


def _refuse_strangers(func: Any, args: Any, kwargs: Any) -> None:
    packet = func.overloadpacket
    if packet in GOES_BETWEEN:
        return
    met = [args[0], *args[2:]] if packet in INDEXES and isinstance(args[0], OnCard) else [args, kwargs]
    strangers = [x for x in tree_leaves(met) if isinstance(x, Tensor) and not isinstance(x, OnCard) and x.dim()]
    if strangers:
        raise OnTheCpu(f"{func}: {[tuple(x.shape) for x in strangers]} on the CPU")


class MakeBelieve(TorchFunctionMode):
    """In it, `device="cuda"` makes tensors on the card, and `.to`, `.cpu` and `.tolist` go there and back."""

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in (Tensor.cpu, Tensor.numpy, Tensor.tolist) and isinstance(args[0], OnCard):
            return func(args[0].inside, *args[1:], **kwargs)
        if func in MADE_LIKE_THE_FIRST and isinstance(args[0][0], OnCard):
            return OnCard(func([x.inside for x in args[0]], *args[1:], **kwargs))
        if func is Tensor.to:
            return _moved(args, kwargs)
        if kwargs.get("device") is not None and torch.device(kwargs["device"]).type == "cuda":
            kwargs.pop("device")
            return _card(func(*args, **kwargs))
        return func(*args, **kwargs)


def _moved(args: Any, kwargs: dict[str, Any]) -> Any:
    tensor, values = args[0], [*args[1:], *kwargs.values()]
    places = [x.device if isinstance(x, Tensor) else torch.device(x) for x in values if isinstance(x, _PLACE)]
    if not places or (places[0].type == "cpu" and not isinstance(tensor, OnCard)):
        return Tensor.to(*args, **kwargs)
    dtypes = [x.dtype if isinstance(x, Tensor) else x for x in values if isinstance(x, Tensor | torch.dtype)]
    changed = tensor.to(dtypes[0]) if dtypes else tensor
    if places[0].type == "cpu":
        return changed.inside
    return _card(changed)


def put_on_card(module: torch.nn.Module) -> None:
    """Parameters and buffers of a module, in place."""
    for part in module.modules():
        for name, parameter in part._parameters.items():
            if parameter is not None:
                moved = torch.nn.Parameter(OnCard(parameter.detach()), parameter.requires_grad)
                moved.grad_dtype = parameter.grad_dtype
                part._parameters[name] = moved
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = OnCard(buffer)
