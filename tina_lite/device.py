"""What a run computes on, found without importing torch."""

import os
import shutil
import subprocess
import sys
from importlib import metadata
from typing import Any

from tina_lite.errors import BadInput


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


def usable_card() -> str | None:
    """The card that torch will compute on, as far as that can be told without importing it."""
    if "torch" not in sys.modules:  # CUDA counts the fastest card first, its driver by their places
        os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    return None if is_for_cpus(installed_version("torch")) else card_name()


def is_for_cpus(torch_version: str | None) -> bool:
    """Whether this torch knows no card."""
    return (torch_version or "").endswith("+cpu")


def installed_version(package: str) -> str | None:
    """None where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def refuse_other_card(card: str | None, cuda: Any) -> None:
    """BadInput where torch does not compute on the card that is billed; `cuda` is torch.cuda."""
    if card is None:
        return
    if not cuda.is_available():
        raise BadInput(
            f"{card} is here, but torch cannot use it: its driver may be too old for this torch (nvidia-smi says which "
            "CUDA it knows); mend that, or set CUDA_VISIBLE_DEVICES= to compute on the CPU"
        )
    used = cuda.get_device_name(0)
    if not used.startswith(card) and not card.startswith(used):
        raise BadInput(
            f"the price is that of {card}, but torch computes on {used}; set CUDA_DEVICE_ORDER=PCI_BUS_ID, and "
            "CUDA_VISIBLE_DEVICES to the number of the card"
        )


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
