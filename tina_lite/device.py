"""What a run computes on, found without importing torch."""

import os
import shutil
import subprocess


def card_name() -> str | None:
    """The first NVIDIA card's name as its driver gives it, such as "NVIDIA GeForce RTX 4090"; None without one."""
    if shutil.which("nvidia-smi") is None or os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        return None
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return next(iter(found.splitlines()), None)


def available_bytes() -> int:
    """Main memory that can be had without swapping; half of a cautious 4 GiB where the system does not say."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            fields = dict(line.split(":", 1) for line in file)
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return 2 * 1024**3
