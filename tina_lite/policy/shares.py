"""How the portable engine divides memory. Without torch: `tina-lite plan` foretells what the engine will choose."""

CACHE_SHARE = 0.25
"""Of free memory, for keys and values; activations and the logits of a step need the rest."""
DENSE_SHARE = 0.5
"""Of free memory, for a dense copy of the base; one that would need more is dequantised layer by layer instead."""
ACTIVATION_SHARE = 0.5
"""Of free memory, for a forward and backward pass; one that would need more keeps a layer's input alone."""
LOGIT_COPIES = 5
"""Of a chunk of logits in float32, while log-probs are taken."""
CHUNK_ELEMENTS = 8 * 1024 * 1024
"""Logits held at once by the learner; 32 MB in float32. A card may hold more, as its products want more rows."""
LOGITS_SHARE = 1 / 16
"""Of a card's free memory, for those and their copies."""


def chunk_elements(card: bool, free_bytes: float) -> int:
    """Logits held at once; a power of two, so that a little more or less free memory does not change how sums round."""
    if not card:
        return CHUNK_ELEMENTS
    fitting = max(1, int(LOGITS_SHARE * free_bytes / (4 * LOGIT_COPIES)))
    return max(CHUNK_ELEMENTS, 1 << (fitting.bit_length() - 1))


def dense_copies(card: bool) -> int:
    """One to train on and sample from; on a CPU one more, packed, to sample from."""
    return 1 if card else 2


def keeps_dense_copy(copy_bytes: int, free_bytes: float, step_bytes: int) -> bool:
    """Whether the base is kept dense: where a share of the free memory holds it, and the rest suffices for a step."""
    return copy_bytes < DENSE_SHARE * free_bytes and copy_bytes + step_bytes <= free_bytes
