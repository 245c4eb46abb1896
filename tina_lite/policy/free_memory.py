"""What an engine may still take of a device's memory."""

import torch

from tina_lite.main_memory import available_bytes


def free_bytes(device: torch.device) -> int:
    """Of the card, within what this process may take of it, torch's own unused blocks included; or of main memory."""
    if device.type != "cuda":
        return available_bytes()
    free, total = torch.cuda.mem_get_info()
    reserved = torch.cuda.memory_reserved()
    within_cap = int(torch.cuda.get_per_process_memory_fraction() * total) - reserved
    return max(0, min(free, within_cap) + reserved - torch.cuda.memory_allocated())
