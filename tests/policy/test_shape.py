"""What the engine reckons with, against what it does: the bytes that a forward pass keeps, the copy of the base."""

import pytest
import torch

from tina_lite.plan import read_shape
from tina_lite.policy.interface import TokenBatch
from tina_lite.policy.model_folder import TINY_BASE

PROMPTS, GENERATIONS, PROMPT, COMPLETION = 3, 8, 21, 22
BATCH = TokenBatch(
    tuple(tuple(range(3, 3 + PROMPT)) for _ in range(PROMPTS)),
    tuple(tuple(tuple(range(3, 3 + COMPLETION)) for _ in range(GENERATIONS)) for _ in range(PROMPTS)),
)
TOKENS = PROMPTS * (PROMPT + GENERATIONS * (COMPLETION - 1))


def kept_by_autograd(policy) -> int:
    """Bytes of the storages that a forward pass saves, weights and adapter aside."""
    weights = {parameter.untyped_storage().data_ptr() for parameter in policy.model.parameters()}
    weights |= {
        linear._weight.untyped_storage().data_ptr() for layer in policy._dense.layers for linear in layer.linears
    }
    saved: dict[int, torch.Tensor] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        policy.logprobs(BATCH, 1.0)
    return sum(t.untyped_storage().nbytes() for at, t in saved.items() if at not in weights)


def test_a_forward_pass_keeps_about_what_is_reckoned(make_policy):
    shape = read_shape(TINY_BASE)
    assert kept_by_autograd(make_policy(fp32=True)) == pytest.approx(shape.kept_bytes(TOKENS, 4), rel=0.2)
