"""What both sides of `bench/rollout.py` sample: GSM8K prompts x 8 completions, whose lengths are given beforehand."""

from zlib import crc32

from step_task import MAX_COMPLETION

SHORTEST = 8
WORKLOADS = ("natural", "equal")


def lengths(workload: str, rows: int) -> list[int]:
    """Tokens of each completion, end of text included: SHORTEST each, all of them, or spread evenly by a hash."""
    if workload == "warm-up":
        return [SHORTEST] * rows
    if workload == "equal":
        return [MAX_COMPLETION] * rows
    return [SHORTEST + crc32(f"row {row}".encode()) % (MAX_COMPLETION - SHORTEST + 1) for row in range(rows)]
