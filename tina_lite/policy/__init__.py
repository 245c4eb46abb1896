"""A model that can be sampled, scored and updated: one interface, the engines behind it.

Only this room knows transformers, peft and bitsandbytes.
"""

import os

# oneDNN keeps a compiled kernel for each shape, 1024 of them by default: on a CPU that grows by megabytes a step.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")

from tina_lite.policy.interface import Decoder, Policy, Prefix, TokenBatch

__all__ = ["Decoder", "Policy", "Prefix", "TokenBatch"]
