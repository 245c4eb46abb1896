"""How the C library keeps what was freed: for the next allocation, or for the system."""

import ctypes
from contextlib import suppress

LARGE = 1024**2
"""Bytes of a block that goes back to the system as soon as it is freed."""
_M_MMAP_THRESHOLD = -3


def give_back_large_blocks() -> None:
    """From now on, at some cost in time: glibc else keeps blocks of up to 32 MiB, which serve no other size well.

    Nothing happens where the C library is another.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, LARGE)
