"""How fast this CPU is at a model's shapes: measured for a second in a child process, kept for a day."""

import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from tina_lite.disk import user_folder

PROBE_LIMIT_S = 60.0
KEPT_S = {False: 24 * 3600.0, True: 600.0}
"""By whether the machine was busy with something else, which makes it look slow."""
BUSY_LOAD = 0.5
"""Load average a core."""


@dataclass(frozen=True, slots=True)
class CpuSpeed:
    """What a CPU reaches."""

    float32: float
    """Operations a second in products."""
    bfloat16: float
    bandwidth: float
    """Bytes a second."""
    call_s: float
    """Seconds of a small operation."""
    dtype: Literal["float32", "bfloat16"]
    """What the engine would compute in."""
    source: str = "this CPU as measured: {flops:.0f} GFLOP/s in {dtype}, {bandwidth:.0f} GB/s"
    """For people to read."""


ASSUMED = CpuSpeed(
    1e11,
    1e11,
    1e10,
    1e-5,
    "float32",
    "this CPU could not be measured: {flops:.0f} GFLOP/s and {bandwidth:.0f} GB/s are assumed",
)


def cpu_speed(hidden: int, intermediate: int) -> CpuSpeed:
    """As kept for these shapes, else measured now; two to three seconds, most of them importing torch.

    Where it cannot be measured, a slow machine is assumed.
    """
    known = known_cpu_speed(hidden, intermediate)
    if known is not None:
        return known
    busy = is_busy()
    measured = _probe(hidden, intermediate)
    if measured is None:
        return ASSUMED
    _keep({**_read_kept(), _key(hidden, intermediate): {"at": time.time(), "busy": busy, **measured}})
    return CpuSpeed(**measured)


def known_cpu_speed(hidden: int, intermediate: int) -> CpuSpeed | None:
    """As kept for these shapes; None where it would have to be measured."""
    kept = _read_kept().get(_key(hidden, intermediate))
    if kept is None or not 0 <= time.time() - kept.pop("at") < KEPT_S[kept.pop("busy")]:
        return None
    return CpuSpeed(**kept)


def is_busy() -> bool:
    """Whether other work takes a good part of the cores."""
    return os.getloadavg()[0] > BUSY_LOAD * (os.cpu_count() or 1)


def _key(hidden: int, intermediate: int) -> str:
    key = f"{_cpu_name()}, {os.environ.get('OMP_NUM_THREADS') or os.cpu_count()} threads, torch {_torch_version()}, "
    return key + f"{hidden} x {intermediate}"


def cache_file() -> Path:
    """Where measurements are kept."""
    return user_folder("XDG_CACHE_HOME", "~/.cache") / "cpu_speed.json"


def _probe(hidden: int, intermediate: int) -> dict[str, Any] | None:
    command = [sys.executable, "-m", "tina_lite.plan.probe", str(hidden), str(intermediate)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_LIMIT_S, check=True)
        measured: dict[str, Any] = json.loads(done.stdout)
        CpuSpeed(**measured)  # another version's probe has other fields
    except (OSError, subprocess.SubprocessError, ValueError, TypeError):
        return None
    return measured


def _read_kept() -> dict[str, dict[str, Any]]:
    try:
        kept = json.loads(cache_file().read_text(encoding="utf-8"))
        fields = set(asdict(ASSUMED)) - {"source"} | {"at", "busy"}
        return {key: value for key, value in kept.items() if set(value) == fields}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _keep(kept: dict[str, dict[str, Any]]) -> None:
    try:
        cache_file().parent.mkdir(parents=True, exist_ok=True)
        cache_file().write_text(json.dumps(kept, indent=1), encoding="utf-8")
    except OSError:
        pass  # measured anew the next time


def _torch_version() -> str:
    try:
        return version("torch")
    except PackageNotFoundError:
        return "none"


def _cpu_name() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            lines = dict(line.split(":", 1) for line in file if ":" in line)
        names = [lines[key].strip() for key in lines if key.strip() in ("model name", "flags")]
        return f"{names[0]} {_short(names[-1])}" if names else platform.processor()
    except (OSError, ValueError):
        return platform.processor()


def _short(text: str) -> str:
    """A short name of a long text: virtual machines call CPUs with and without AMX alike."""
    from hashlib import blake2b

    return blake2b(text.encode(), digest_size=4).hexdigest()
