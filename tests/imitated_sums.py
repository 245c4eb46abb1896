"""What a card's sums in float16 come to, imitated: rounded after every 16 terms, as by its tensor cores (M16N8K16)."""

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

AT_ONCE = 16


class SumsInFloat16(TorchDispatchMode):
    """Rounds sums of products of float16, which the card must have been told to; counts the products."""

    def __init__(self) -> None:
        super().__init__()
        self.products = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is not torch.ops.aten.mm.default or args[0].dtype != torch.float16:
            return func(*args, **(kwargs or {}))
        self.products += 1
        assert torch.backends.cuda.matmul.allow_fp16_accumulation
        sums = torch.zeros(len(args[0]), args[1].shape[1], dtype=torch.float16)
        for x, w in zip(args[0].split(AT_ONCE, dim=1), args[1].split(AT_ONCE, dim=0), strict=True):
            sums = (sums.float() + x.float() @ w.float()).to(torch.float16)
        return sums
