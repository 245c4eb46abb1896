"""What a run computes on, found without importing torch."""

import os
import shutil
import subprocess


def visible_card() -> str | None:
    """Index or UUID of the first NVIDIA card that CUDA may use; None where it may use none. The driver counts all."""
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
    if first in ("", "-1"):
        return None
    return first if first.isdigit() or first.startswith("GPU-") else "0"


def card_name() -> str | None:
    """The card's name as its driver gives it, such as "NVIDIA GeForce RTX 4090"; None without one."""
    facts = ask_driver("name")
    return facts[0] if facts else None


def ask_driver(*fields: str) -> list[str] | None:
    """What nvidia-smi says of the card, by its names for fields, memory in MiB; None where it says nothing."""
    card = visible_card()
    if card is None or shutil.which("nvidia-smi") is None:
        return None
    command = ["nvidia-smi", f"--id={card}", f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    facts = [fact.strip() for fact in next(iter(found.splitlines()), "").split(",")]
    return facts if len(facts) == len(fields) and all(facts) else None


def available_bytes() -> int:
    """Main memory that can be had without swapping; half of a cautious 4 GiB where the system does not say."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            fields = dict(line.split(":", 1) for line in file)
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return 2 * 1024**3


def card_memory_gib() -> float | None:
    """Memory of the first NVIDIA card as its driver counts it; None where it does not say."""
    facts = ask_driver("memory.total")
    return float(facts[0]) / 1024 if facts and facts[0].isdigit() else None  # it counts in MiB


def card_capability() -> float | None:
    """CUDA compute capability of the first NVIDIA card, such as 8.9; None without one."""
    facts = ask_driver("compute_cap")
    try:
        return float(facts[0]) if facts else None
    except ValueError:  # an old driver says [N/A]
        return None
