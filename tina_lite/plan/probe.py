"""Child process: measures this CPU at a model's shapes and prints one line of JSON for cpu.py. Imports torch."""

import json
import sys
import time
from collections.abc import Callable
from statistics import median

import torch

from tina_lite.policy.loading import CLEARLY_FASTER, PROBE_ROWS, seconds_on_cpu

STREAM_BYTES = 128 * 1024**2
"""Larger than most caches."""
CALLS = 50
SMALL_ROWS = 32
"""As in a decode step."""
TRIALS = 24
ROUNDS = 5
"""Of those that the engine makes one of to choose its dtype: a busy machine is not to look slow."""


def main() -> None:
    hidden, intermediate = int(sys.argv[1]), int(sys.argv[2])
    rounds = [seconds_on_cpu(hidden, intermediate) for _ in range(ROUNDS)]
    operations = 2 * PROBE_ROWS * hidden * intermediate
    float32, bfloat16 = (
        operations / min(seconds[dtype] for seconds in rounds) for dtype in (torch.float32, torch.bfloat16)
    )
    dtype = torch.bfloat16 if bfloat16 > CLEARLY_FASTER * float32 else torch.float32
    source = torch.ones(STREAM_BYTES // 4)
    target = torch.empty_like(source)
    small = torch.ones(SMALL_ROWS, intermediate, dtype=dtype)
    result = {
        "float32": float32,
        "bfloat16": bfloat16,
        "bandwidth": 2 * STREAM_BYTES / _seconds(lambda: torch.mul(source, 2.0, out=target)),
        "call_s": _seconds(lambda: [torch.nn.functional.silu(small) for _ in range(CALLS)]) / CALLS,
        "dtype": str(dtype).removeprefix("torch."),
    }
    print(json.dumps(result))


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
