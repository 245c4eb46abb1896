"""A decode step's kernels launched as one, on a card; and few shapes, where a kernel is compiled for each."""

import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ClassVar

import torch
from torch import Tensor

# Few shapes on a CPU in bfloat16, whose library compiles a kernel for each new one and keeps it, half a MiB of memory.
#
# So numbers of tokens are rounded up, by idle ones, to 16 sizes an octave: 2% more on average, and memory stands still
# once the sizes have been met. In float32 products are another library's, and a card has its kernels ready.

SMALLEST_STEP = 16
SIZES = 16
"""An octave."""


def compiles_shapes(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether each new shape costs memory for good."""
    return device.type == "cpu" and dtype == torch.bfloat16


def rounded(size: int, smallest_step: int = SMALLEST_STEP, sizes: int = SIZES) -> int:
    """Round up to the next of few sizes, `sizes` of them an octave.

    >>> [rounded(size) for size in (1, 16, 17, 512, 513, 1023, 1025)]
    [16, 16, 32, 512, 544, 1024, 1088]
    """
    step = max(smallest_step, (1 << size.bit_length()) // (2 * sizes))
    return -(-size // step) * step


# A decode step's kernels launched as one, on a card.
#
# A step of one token is over a thousand small kernels. To launch each takes the host longer than the card needs for
# it, so that a card of any speed would decode at the host's: recorded as a CUDA graph they are launched together. A
# graph is of one shape and reads and writes the same memory each time; what it returns is overwritten by the next
# replay.

ROWS, ROWS_SIZES = 8, 2
TOKENS, TOKENS_SIZES = 128, 8
"""Steps of a shape and sizes an octave: to record one takes as long as several steps, idle rows and tokens little."""


def replayed_shape(rows: int, tokens: int) -> tuple[int, int]:
    """Round sequences and tokens of the cache up to the next of few sizes.

    >>> replayed_shape(3, 60), replayed_shape(25, 1025), replayed_shape(128, 1024)
    ((8, 128), (32, 1152), (128, 1024))
    """
    return rounded(rows, ROWS, ROWS_SIZES), rounded(tokens, TOKENS, TOKENS_SIZES)


Work = Callable[[int, int], Tensor]
"""From (rows, tokens), on tensors that stay where they are."""


class CudaGraphs:
    """One work's graphs, by its shape; tokens never become fewer.

    It does not hold the work, whose owner holds it: as a cycle the two would keep a cache from being freed.
    """

    failed: ClassVar[set[tuple[int, int]]] = set()
    """Shapes that could not be recorded in this process; a decoder lives for a rollout only."""

    def __init__(self) -> None:
        self._met: set[tuple[int, int]] = set()
        self._graphs: dict[tuple[int, int], tuple[Any, Tensor]] = {}
        self._pool: Any = None  # of memory, that of the first graph, which the others share

    def run(self, work: Work, rows: int, tokens: int) -> Tensor:
        shape = rows, tokens
        if shape not in self._graphs:
            if shape in self.failed or shape not in self._met:
                self._met.add(shape)
                return work(*shape)  # kernels are loaded and chosen, which cannot be recorded
            try:
                self._graphs[shape] = self._recorded(work, shape)
            except RuntimeError as error:  # a kernel that cannot be, or no memory left for it
                self.failed.add(shape)
                warnings.warn(f"decoding is slower: a CUDA graph cannot be recorded ({error})", stacklevel=2)
                return work(*shape)
            self._graphs = {one: graph for one, graph in self._graphs.items() if one[1] == tokens}
        graph, out = self._graphs[shape]
        graph.replay()
        return out

    def _recorded(self, work: Work, shape: tuple[int, int]) -> tuple[Any, Tensor]:
        graph, stream = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
        pool = self._pool or torch.cuda.graph_pool_handle()
        try:
            # Other threads, that of the console for one, may ask the card for something meanwhile.
            with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
                out = work(*shape)
        except RuntimeError:
            _give_up(pool, stream)
            raise
        self._pool = pool
        return graph, out


def _give_up(pool: Any, stream: Any) -> None:
    """What torch leaves behind where a recording cannot be ended: its stream as the current one, its pool open."""
    torch.cuda.set_stream(stream)
    with suppress(RuntimeError):  # it was closed
        torch._C._cuda_endAllocateToPool(torch.cuda.current_device(), pool)
        torch._C._cuda_releasePool(torch.cuda.current_device(), pool)
