"""What an engine may still take of a device's memory, and how a run is laid out in it."""

from typing import Any

import torch

from tina_lite.chosen import Chosen
from tina_lite.main_memory import available_bytes
from tina_lite.policy.demand import Demand, Room
from tina_lite.policy.memory import MemoryLayout, layout_of, refuse_too_large
from tina_lite.policy.shape import shape_of


def free_bytes(device: torch.device) -> int:
    """Of the card, within what this process may take of it, torch's own unused blocks included; or of main memory."""
    if device.type != "cuda":
        return available_bytes()
    free, total = torch.cuda.mem_get_info()
    reserved = torch.cuda.memory_reserved()
    within_cap = int(torch.cuda.get_per_process_memory_fraction() * total) - reserved
    return max(0, min(free, within_cap) + reserved - torch.cuda.memory_allocated())


def lay_out(
    config: Any,
    demand: Demand,
    device: torch.device,
    dtype: torch.dtype,
    *,
    unsloth: bool = False,
    chosen: Chosen | None = None,
) -> MemoryLayout:
    """`layout_of` a model that transformers knows, before its base is loaded; NoRoom where it cannot fit.

    What was chosen before is not refused: a run that is resumed tries.
    """
    room = Room(free_bytes(device), device.type == "cuda", dtype.itemsize)
    layout = layout_of(shape_of(config), demand, room, unsloth=unsloth, chosen=chosen)
    if chosen is None:
        refuse_too_large(layout)
    return layout
