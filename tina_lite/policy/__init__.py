"""A model that can be sampled, scored and updated: one interface, the engines behind it.

Only this room knows transformers, peft and bitsandbytes.
"""

from tina_lite.policy.interface import Decoder, Policy, Prefix, TokenBatch

__all__ = ["Decoder", "Policy", "Prefix", "TokenBatch"]
