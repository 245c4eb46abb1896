"""What the engine reckons with, against what it does: the bytes that a forward pass keeps, the copy of the base."""

import pytest
import torch

from tina_lite.plan import read_shape
from tina_lite.policy.interface import TokenBatch
from tina_lite.policy.model_folder import TINY_BASE
from tina_lite.policy.shares import CHUNK_ELEMENTS, DENSE_SHARE, LOGIT_COPIES, chunk_elements, keeps_dense_copy

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


def test_recomputing_holds_less_and_dense_weights_need_no_room_on_the_way():
    shape = read_shape("Qwen/Qwen2.5-1.5B")

    def held(recompute: bool, resident: bool) -> int:
        return shape.activation_bytes(4096, 4096, 2, 2**23, recompute=recompute, resident=resident)

    assert held(True, True) < 0.2 * held(False, True)
    assert held(False, False) - held(False, True) == 2 * 2 * 1536 * 2 * 8960  # gate and up, twice, in 16 bits


@pytest.mark.parametrize(
    ("copy", "free", "step", "kept"),
    [(49, 100, 0, True), (50, 100, 0, False), (40, 100, 60, True), (40, 100, 61, False), (1, -5, 0, False)],
)
def test_a_dense_copy_leaves_half_of_memory_and_what_a_step_needs(copy, free, step, kept):
    assert DENSE_SHARE == 0.5
    assert keeps_dense_copy(copy, free, step) is kept


def test_a_policy_keeps_no_copy_that_would_leave_a_step_too_little(make_policy):
    asked = []

    def step_bytes(shape, itemsize):
        asked.append((shape, itemsize))
        return 10**15

    assert make_policy(fp32=True)._dense.resident
    assert not make_policy(fp32=True, step_bytes=step_bytes)._dense.resident
    assert asked == [(read_shape(TINY_BASE), 4)]


def test_a_card_holds_more_logits_at_once_and_a_little_more_memory_changes_nothing():
    assert chunk_elements(card=False, free_bytes=2**40) == CHUNK_ELEMENTS
    assert chunk_elements(card=True, free_bytes=-1) == chunk_elements(card=True, free_bytes=2**30) == CHUNK_ELEMENTS
    with_22_gib = chunk_elements(card=True, free_bytes=22 * 2**30)
    assert with_22_gib == 2**26 == chunk_elements(card=True, free_bytes=21 * 2**30)
    assert 4 * LOGIT_COPIES * with_22_gib <= 22 * 2**30 / 16
