"""Child process: measures this CPU at a model's shapes and prints one line of JSON for device.py. Imports torch."""

import json
import math
import sys
import time
from collections.abc import Callable
from statistics import median

import torch

from tina_lite.policy.pretrained import dtype_on_cpu

STREAM_BYTES = 128 * 1024**2
"""Larger than most caches."""
CALLS = 50
SMALL_ROWS = 32
"""As in a decode step."""
PRODUCT_ROWS = 512
TRIALS = 24
PRODUCT_TRIALS = 40
"""The best of so many: a busy machine is not to look slow."""


def main() -> None:
    hidden, intermediate = int(sys.argv[1]), int(sys.argv[2])
    seconds = _product_seconds(hidden, intermediate)
    operations = 2 * PRODUCT_ROWS * hidden * intermediate
    dtype = dtype_on_cpu(hidden)
    source = torch.ones(STREAM_BYTES // 4)
    target = torch.empty_like(source)
    small = torch.ones(SMALL_ROWS, intermediate, dtype=dtype)
    result = {
        "float32": operations / seconds[torch.float32],
        "bfloat16": operations / seconds[torch.bfloat16],
        "bandwidth": 2 * STREAM_BYTES / _seconds(lambda: torch.mul(source, 2.0, out=target)),
        "call_s": _seconds(lambda: [torch.nn.functional.silu(small) for _ in range(CALLS)]) / CALLS,
        "dtype": str(dtype).removeprefix("torch."),
    }
    print(json.dumps(result))


def _product_seconds(hidden: int, intermediate: int) -> dict[torch.dtype, float]:
    """Of the product of PRODUCT_ROWS tokens with a projection, in each dtype."""
    seconds = dict.fromkeys((torch.float32, torch.bfloat16), math.inf)
    for _ in range(PRODUCT_TRIALS):  # in turn, so that what else runs on the machine slows both
        for dtype in seconds:
            x, weight = torch.ones(PRODUCT_ROWS, hidden, dtype=dtype), torch.ones(intermediate, hidden, dtype=dtype)
            started = time.perf_counter()
            torch.nn.functional.linear(x, weight)
            seconds[dtype] = min(seconds[dtype], time.perf_counter() - started)
    return seconds


def _seconds(work: Callable[[], object]) -> float:
    """Median of a few trials: what a run may count on."""
    trials = []
    for _ in range(TRIALS):
        started = time.perf_counter()
        work()
        trials.append(time.perf_counter() - started)
    return median(trials)


if __name__ == "__main__":
    main()
