"""Up to how many sequences a decode step's products are faster in 4 bits than from a dense copy.

By a table where a run is planned; where a card is there it is measured (dense/trial.py). The product is bitsandbytes'
gemm_4bit, which reads 0.56 bytes a weight; with many rows, or few outputs of long rows, it is slower than in 16 bits.
"""

from collections.abc import Mapping

from tina_lite.policy.memory_request import NF4_BLOCK
from tina_lite.policy.shape import ModelShape
from tina_lite.util.stateful import Product

Rows = Mapping[Product, int]
SMALLEST = 4 * 1024 * 1024
"""Weights; of fewer, bitsandbytes dequantises instead."""
BY_CAPABILITY: Mapping[str, Rows] = {
    "8.6": {"gate_up": 128, "down": 64},
    "8.9": {"gate_up": 128, "down": 12},
    "12.0": {"gate_up": 128, "down": 8},
}
"""Where bitsandbytes 0.50 takes its fused kernel for the shapes of a 1.5B model, by compute capability.

Taken from its thresholds, not measured here. Cards with HBM (8.0, 9.0, 10.0) lose early, and Volta has no such kernel.
"""


def products(shape: ModelShape) -> dict[Product, tuple[int, int]]:
    """The (out, in) of the products that may be in 4 bits."""
    sizes = shape.mlp_products
    return {name: (out, into) for name, (out, into) in sizes.items() if out * into >= SMALLEST and not into % NF4_BLOCK}


def rows_by_table(capability: str, shape: ModelShape) -> Rows:
    """What is assumed of a card that is not there."""
    known = BY_CAPABILITY.get(capability, {})
    return {name: known[name] for name in products(shape) if name in known}
