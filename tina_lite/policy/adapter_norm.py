"""How far an adapter has moved its base."""

import math
from typing import Any

import torch
from torch import Tensor

from tina_lite.policy.dense.linears import base_weight


class AdapterNorm:
    """Gives the Euclidean norm of all s B A, as a share of that of the base's weights under them."""

    def __init__(self, model: Any) -> None:
        """`model` is peft's. Adapters of experts are left out: their base is no matrix."""
        from peft.tuners.lora import LoraLayer

        modules = (module for module in model.modules() if isinstance(module, LoraLayer))
        self._modules: list[Any] = [one for one in modules if hasattr(one.get_base_layer(), "in_features")]
        self._base: Tensor | None = None
        """Its square: the base is frozen, so once will do."""

    @torch.no_grad()
    def __call__(self) -> float:
        """NaN where nothing is adapted."""
        if not self._modules:
            return math.nan
        if self._base is None:
            self._base = sum((base_weight(module).float().square().sum() for module in self._modules), torch.zeros(()))
        moved = sum((_squared(module) for module in self._modules), torch.zeros(()))
        return float((moved / self._base).sqrt())


def _squared(module: Any) -> Tensor:
    """||s B A||^2 = s^2 <B'B, A A'>, from two matrices of r by r."""
    a, b = module.lora_A["default"].weight.float(), module.lora_B["default"].weight.float()
    squared: Tensor = ((b.T @ b) * (a @ a.T)).sum().clamp(min=0) * module.scaling["default"] ** 2
    return squared
