"""Out of memory: telling it from other errors, and trying again with less."""

import gc
from collections.abc import Callable
from typing import TypeVar

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
