"""Few shapes on a CPU in bfloat16, whose library compiles a kernel for each new one and keeps it, half a MiB of memory.

So numbers of tokens are rounded up, by idle ones, to 16 sizes an octave: 2% more on average, and memory stands still
once the sizes have been met. In float32 products are another library's, and a card has its kernels ready.
"""

import torch

SMALLEST_STEP = 16
SIZES = 16
"""An octave."""


def compiles_shapes(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether each new shape costs memory for good."""
    return device.type == "cpu" and dtype == torch.bfloat16


def rounded(size: int, smallest_step: int = SMALLEST_STEP, sizes: int = SIZES) -> int:
    """Up to the next of few sizes, `sizes` of them an octave.

    >>> [rounded(size) for size in (1, 16, 17, 512, 513, 1023, 1025)]
    [16, 16, 32, 512, 544, 1024, 1088]
    """
    step = max(smallest_step, (1 << size.bit_length()) // (2 * sizes))
    return -(-size // step) * step
