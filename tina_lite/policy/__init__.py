"""A model that can be sampled, scored and updated: one interface, the engines behind it.

Only this room knows transformers, peft and bitsandbytes.
"""

import os

# oneDNN keeps a compiled kernel for each shape (dense/cuda_graphs.py), 1024 of them by default, of 0.3 MiB
# each. Two steps of a run need about 200; fewer are compiled again and again.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "256")

from tina_lite.policy.interface import Decoder, Policy, Prefix, TokenBatch

__all__ = ["Decoder", "Policy", "Prefix", "TokenBatch"]
