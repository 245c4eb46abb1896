"""Whether the Hugging Face hub can be reached: its own clients try each file for half a minute without a network."""

from collections.abc import Callable
from typing import Any

REACH_LIMIT_S = 10.0
LFS_POINTER = b"version https://git-lfs"
"""What begins a file in the place of one that Git LFS has not fetched."""


def unreachable(ask: Callable[[Any], object]) -> bool:
    """Whether a question to the hub's API, given as a function of it, finds no network. Any answer is an answer."""
    import httpx
    from huggingface_hub import HfApi

    try:
        ask(HfApi())
    except httpx.TransportError:
        return True
    except Exception:
        return False  # what the hub says is for the loader to say
    return False
