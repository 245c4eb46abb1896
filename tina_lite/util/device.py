"""What a run computes on, found without importing torch."""

import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from typing import Any

from tina_lite.util.errors import BadInput


def visible_card() -> str | None:
    """Index or UUID, maybe its beginning, of the first NVIDIA card, or slice of one, that CUDA may use.

    None where it may use none: what is neither hides them all, such as "none". The driver counts all.
    """
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
    if first in ("", "-1"):
        return None
    return first if first.isdigit() or first.startswith(("GPU-", "MIG-")) else None


def card_name() -> str | None:
    """The card's name as its driver gives it, such as "NVIDIA GeForce RTX 4090"; None without one."""
    facts = ask_driver("name")
    return facts[0] if facts else None


def usable_card() -> str | None:
    """The card that torch will compute on, as far as that can be told without importing it."""
    if "torch" not in sys.modules:  # CUDA counts the fastest card first, its driver by their places
        os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    return None if is_for_cpus(installed_version("torch")) else card_name()


def cpu_threads() -> int:
    """How many threads torch computes with on this machine's CPU."""
    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(asked) if asked.isdecimal() and int(asked) else os.cpu_count() or 1


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
    """What nvidia-smi says of the card, by its names for fields, memory in MiB; None where it says nothing.

    Of a MIG slice name and memory are the slice's own.
    """
    card = visible_card()
    if card is None or shutil.which("nvidia-smi") is None:
        return None
    card, profile = (card, "") if card.isdigit() else _whole_uuid(card)
    found = _nvidia_smi(f"--id={card}", f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits")
    facts = [fact.strip() for fact in next(iter(found.splitlines()), "").split(",")]
    if len(facts) != len(fields) or not all(facts):
        return None
    if profile:
        said = dict(zip(fields, facts, strict=True))
        own = {"name": f"{said.get('name')} MIG {profile}", "memory.total": _slice_mib(profile)}
        facts = [own.get(field, fact) for field, fact in said.items()]
    return facts


def _nvidia_smi(*arguments: str) -> str:
    """What it prints; nothing where it fails."""
    try:
        done = subprocess.run(["nvidia-smi", *arguments], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout


def _whole_uuid(begins: str) -> tuple[str, str]:
    """Of the card that a UUID names or begins, and the profile of its slice, such as 2g.20gb; as CUDA takes them."""
    card = ""
    for line in _nvidia_smi("-L").splitlines():
        found = re.search(r"(?:MIG (\S+).*)?\(UUID: (\S+)\)", line)
        if found and not found[1]:
            card = found[2]
        if found and found[2].startswith(begins):
            return card, found[1] or ""
    return begins, ""


def _slice_mib(profile: str) -> str:
    """Of 2g.20gb a little less than 20 GiB: the driver keeps some for itself.

    >>> _slice_mib("2g.20gb")
    '19456'
    """
    gigabytes = re.search(r"(\d+)gb", profile)
    return str(int(0.95 * 1024 * int(gigabytes[1]))) if gigabytes else ""


def card_memory_gib() -> float | None:
    """Memory of the first NVIDIA card as its driver counts it; None where it does not say."""
    facts = ask_driver("memory.total")
    return float(facts[0]) / 1024 if facts and facts[0].isdigit() else None  # it counts in MiB


def card_capability() -> float | None:
    """Give the CUDA compute capability of the first NVIDIA card, such as 8.9; None without one."""
    facts = ask_driver("compute_cap")
    try:
        return float(facts[0]) if facts else None
    except ValueError:  # an old driver says [N/A]
        return None


SPINS = 3000
"""Rounds; each is a processor's pause, 10 to 140 cycles, so 10 to 200 microseconds: about what waking a thread costs.
OpenMP's own 300,000 hold the core for up to 20 ms, from which whoever else runs on it has to wait."""


def spin_briefly() -> None:
    """Set it for GNU's OpenMP, which torch brings on Linux; what the user has set stands."""
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", str(SPINS))
