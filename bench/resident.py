"""What is resident of this process, now and at the most (Linux)."""

from pathlib import Path
from typing import Literal


def resident(which: Literal["VmRSS", "VmHWM"]) -> int:
    """Bytes now, or at the most since `forget_peak`."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in status if line.startswith(which))


def forget_peak() -> None:
    """From now on VmHWM counts anew (man 5 proc, clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5")
