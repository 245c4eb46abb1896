"""Main memory that can still be had; running out of it, and trying again with less."""

import ctypes
import gc
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

UNKNOWN_BYTES = 2 * 1024**3
"""Half of a cautious 4 GiB, where the system does not say."""
LIMITS = {"memory.max": "memory.current", "memory.limit_in_bytes": "memory.usage_in_bytes"}
"""Files of a control group, of its second version and its first: what is allowed, and what is used of that."""
CACHE = ("inactive_file ", "total_inactive_file ")
"""In memory.stat: used for files, and given back where memory is short."""


def available_bytes(root: Path = Path("/")) -> int:
    """Main memory that this process can have without swapping or being killed. `root` is that of the file system."""
    return max(0, min([_on_the_machine(root), *_in_containers(root)]))


def _on_the_machine(root: Path) -> int:
    try:
        fields = dict(line.split(":", 1) for line in (root / "proc/meminfo").read_text(encoding="ascii").splitlines())
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return UNKNOWN_BYTES


def _in_containers(root: Path) -> Iterator[int]:
    """What each control group around this process leaves; those without a limit leave more than any machine has."""
    for group in set(_groups(root)):  # the root's comes up more than once
        for limit, usage in LIMITS.items():
            try:
                allowed = int((group / limit).read_text())  # "max" is no number, and no limit
                used = int((group / usage).read_text())
            except (OSError, ValueError):
                continue
            yield allowed - used + _cached(group)


def _groups(root: Path) -> Iterator[Path]:
    """The process's own control group for memory, and all above it. In a container its own is often the root's."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        lines = []
    mounted = root / "sys/fs/cgroup"
    yield from (mounted, mounted / "memory")
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        inside = Path(path.lstrip("/"))
        for group in (inside, *inside.parents):
            yield (mounted / "memory" if controllers else mounted) / group


def _cached(group: Path) -> int:
    try:
        lines = (group / "memory.stat").read_text().splitlines()
    except OSError:
        return 0
    return max((int(line.split()[1]) for line in lines if line.startswith(CACHE)), default=0)


LARGE = 1024**2
"""Bytes of a block that goes back to the system as soon as it is freed."""
_M_MMAP_THRESHOLD = -3


def give_back_large_blocks() -> None:
    """From now on, at some cost in time: glibc else keeps blocks of up to 32 MiB, which serve no other size well.

    Nothing happens where the C library is another.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, LARGE)


T = TypeVar("T")
TRIES = 3
SIGNS = (
    "DefaultCPUAllocator",
    "CUDA out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "bad allocation",
    "bad_alloc",
    "could not create a primitive",  # oneDNN, which says so where it gets no memory
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a card, torch's allocator on a CPU, or Python had no memory left.

    >>> is_out_of_memory(RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")), is_out_of_memory(
    ...     RuntimeError("shape mismatch"))
    (True, False)
    """
    if isinstance(error, RuntimeError):  # torch.OutOfMemoryError is one
        return type(error).__name__ == "OutOfMemoryError" or any(sign in str(error) for sign in SIGNS)
    return isinstance(error, MemoryError)


def release_memory() -> None:
    """What a failed attempt held goes back; call it when its error is not held any more."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def with_less_each_time(attempt: Callable[[], T], less: Callable[[BaseException], None]) -> T:
    """What `attempt` gives; where it runs out of memory, `less` makes the next one smaller, or raises NoRoom."""
    while True:
        try:
            return attempt()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            less(error)
        release_memory()


def insisting(work: Callable[[], T]) -> T:
    """What `work` gives, which cannot do with less: tried again once all that is unused was given back.

    It must bear being done again after it failed half-way; where it fails TRIES times, so does this.
    """
    failures = 0

    def less(error: BaseException) -> None:
        nonlocal failures
        failures += 1
        if failures == TRIES:
            raise error

    return with_less_each_time(work, less)
