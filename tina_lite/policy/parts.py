"""The bytes of what a run holds, part by part, at the recipe's longest. Without torch."""

from tina_lite.chosen import Activations
from tina_lite.policy.demand import Demand, Room
from tina_lite.policy.shape import ModelShape
from tina_lite.sampler import PREFILL_PROMPTS

LOGIT_COPIES = 5
"""Of a chunk of logits in float32, while log-probs are taken."""
CHUNK_ELEMENTS = 8 * 1024 * 1024
"""Logits held at once by the learner; 32 MiB in float32. A card may hold more, as its products want more rows."""
CHUNK_SHARE = 1 / 16
"""Of a card's free memory, for those and their copies."""
DRAW_COPIES, TRUNCATED_COPIES = 5, 10
"""Of a decode step's logits in float32, while a token is drawn; and where top-p sorts them."""
GENERIC_KEPT = 2
"""transformers' own forward pass keeps about so many times what ours does: an assumption."""
SHORTEST = 16
"""Tokens; the completions of a full micro-batch are taken for no shorter on average."""
SCORES = 16 * 1024 * 1024
"""Attention scores held at once on a CPU in 16 bits, 32 MiB; more where those of one row are more (attention.py)."""
SCORE_COPIES = 5
"""Scores, weights, their gradients and the product under way."""
NF4_BLOCK = 64
"""Weights that share an absmax, itself one byte."""
NF4_NESTED_BLOCK = 256
"""Absmaxes that share one in float32."""
NF4_TABLES = 256 * 4 + 16 * 4 + 4
"""Bytes that each module keeps beside: two code books and an offset."""


def base_bytes(shape: ModelShape, quantization: str, itemsize: int) -> int:
    """The frozen base: projections in NF4 with double quantisation, embeddings, head, norms and biases as they are."""
    if quantization != "nf4":
        return shape.parameters * itemsize
    modules = shape.layers * len(shape.linears)
    return nf4_bytes(shape.linear_weights) + modules * NF4_TABLES + shape.other_weights * itemsize


def nf4_bytes(weights: int) -> int:
    """Half a byte a weight, an absmax of one byte a block, and a float32 for each block of those.

    >>> nf4_bytes(64 * 256), 64 * 256 / 2 + 256 + 4
    (8452, 8452.0)
    """
    absmaxes = -(-weights // NF4_BLOCK)
    return weights // 2 + absmaxes + -(-absmaxes // NF4_NESTED_BLOCK) * 4


def chunk_elements(card: bool, free_bytes: float) -> int:
    """Logits held at once; a power of two, so that a little more or less free memory does not change how sums round."""
    if not card:
        return CHUNK_ELEMENTS
    fitting = max(1, int(CHUNK_SHARE * free_bytes / (4 * LOGIT_COPIES)))
    return max(CHUNK_ELEMENTS, 1 << (fitting.bit_length() - 1))


def reading_bytes(shape: ModelShape, demand: Demand, item: int) -> int:
    """Prompts as they are read, their keys and values stacked and turned, and kept for their groups."""
    tokens = min(PREFILL_PROMPTS, demand.prompts) * demand.longest_prompt
    return tokens * (3 * shape.kv_bytes(item) + (3 * shape.intermediate + 4 * shape.hidden) * item)


def row_bytes(shape: ModelShape, demand: Demand, item: int) -> int:
    """Of a row as it is decoded: its cache, scores and mask of one layer's attention, logits being drawn from."""
    copies = TRUNCATED_COPIES if demand.truncates else DRAW_COPIES
    attention = demand.row * (2 * shape.heads * item + shape.kv_heads * (item + 1))
    return demand.row * shape.kv_bytes(item) + attention + shape.vocabulary * (item + 4 * copies)


def learning_bytes(
    shape: ModelShape, demand: Demand, room: Room, own: bool, activations: Activations, tokens: int
) -> tuple[int, int]:
    """What a micro-batch of so many tokens keeps, and what is under way in its backward pass."""
    item, kept = room.itemsize, shape.kept_bytes(tokens, room.itemsize)
    inputs = shape.layers * tokens * shape.hidden * item
    if activations != "kept":
        kept = kept // shape.layers + (inputs if activations == "recomputed" else inputs // shape.layers)
    if not (room.card and item == 2):
        kept += tokens * demand.row * (item + 1)  # one mask for all layers
        rows = min(demand.step_rows, tokens // SHORTEST)
        repeated = rows * demand.longest_prompt * 2 * shape.kv_heads * shape.head_dim * item  # keys of the prompt
        kept += repeated * (shape.layers if activations == "kept" else 1)
    passing = tokens * 4 * (shape.intermediate + 2 * shape.hidden) * item
    if not room.card and item == 2:
        passing += SCORE_COPIES * min(SCORES, shape.heads * tokens * demand.row) * item
    times = 1 if own else GENERIC_KEPT
    return times * kept, times * passing
