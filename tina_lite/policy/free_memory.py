"""What an engine may still take of a device's memory."""

from typing import Any

import torch

from tina_lite.main_memory import available_bytes
from tina_lite.policy.shares import CACHE_SHARE


def free_bytes(device: torch.device) -> int:
    """Of the card, within what this process may take of it, torch's own unused blocks included; or of main memory."""
    if device.type != "cuda":
        return available_bytes()
    free, total = torch.cuda.mem_get_info()
    reserved = torch.cuda.memory_reserved()
    within_cap = int(torch.cuda.get_per_process_memory_fraction() * total) - reserved
    return max(0, min(free, within_cap) + reserved - torch.cuda.memory_allocated())


def free_kv_tokens(config: Any, device: torch.device, itemsize: int) -> int:
    """Cache tokens, over all rows, that fit in a share of the memory that is free now."""
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    bytes_per_token: int = 2 * config.num_hidden_layers * heads * head_dim * itemsize
    return max(1, int(free_bytes(device) * CACHE_SHARE) // bytes_per_token)
