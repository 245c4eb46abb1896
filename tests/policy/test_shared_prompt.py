"""The two products without a mask are attention with one: outputs and gradients, for any lengths and heads."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tina_lite.policy import TokenBatch, native
from tina_lite.policy.dense import attention
from tina_lite.policy.dense.attention import (
    Sharing,
    agrees_with_mask,
    can_flash,
    mask_of,
    masked_attention,
    shared_prompt_attention,
)


def masked(query, key, value, prompt_key, prompt_value, sharing: Sharing):
    owner = torch.tensor([place for place, rows in enumerate(sharing.rows) for _ in range(rows)])
    lengths = torch.tensor(sharing.prompt_lengths)
    mask = mask_of(lengths[owner], int(lengths.max()), query.shape[2], query.dtype)
    return masked_attention(query, key, value, prompt_key, prompt_value, owner, mask)


@settings(max_examples=30)
@given(
    sharing=st.lists(st.tuples(st.integers(1, 4), st.integers(1, 9)), min_size=1, max_size=3),
    width=st.integers(1, 12),
    heads=st.sampled_from([(2, 2), (4, 2), (6, 1)]),
    seed=st.integers(0, 99),
)
def test_it_is_attention_under_a_mask(sharing, width, heads, seed) -> None:
    generator = torch.Generator().manual_seed(seed)
    query_heads, kv_heads = heads
    lengths = Sharing(tuple(rows for rows, _ in sharing), tuple(length for _, length in sharing))
    shapes = [(sum(lengths.rows), query_heads, width, 8), *[(sum(lengths.rows), kv_heads, width, 8)] * 2]
    shapes += [(len(sharing), kv_heads, max(lengths.prompt_lengths), 8)] * 2
    drawn = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]
    slope = torch.randn(shapes[0], generator=generator, dtype=torch.float64)
    results = []
    for form in (shared_prompt_attention, masked):
        inputs = [tensor.clone().requires_grad_() for tensor in drawn]
        out = form(*inputs, lengths)
        out.backward(slope)
        results.append([out.detach(), *(tensor.grad for tensor in inputs)])
    for ours, theirs in zip(*results, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-9)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 3e-2)])
def test_in_fewer_bits_it_is_so_to_their_rounding(dtype, tolerance) -> None:
    torch.manual_seed(0)
    sharing = Sharing((3, 2), (40, 17))
    shapes = [(5, 4, 33, 16), (5, 2, 33, 16), (5, 2, 33, 16), (2, 2, 40, 16), (2, 2, 40, 16)]
    drawn = [torch.randn(shape, dtype=dtype) for shape in shapes]
    ours = shared_prompt_attention(*drawn, sharing).float()
    theirs = masked(*(tensor.double() for tensor in drawn), sharing).float()
    assert (ours - theirs).norm() <= tolerance * theirs.norm()


def test_a_cpu_has_its_own_form() -> None:
    assert not can_flash(torch.device("cpu"), torch.bfloat16, 64)
    assert not can_flash(torch.device("cuda"), torch.float32, 64)
    assert not can_flash(torch.device("cuda"), torch.float16, 12)
    assert can_flash(torch.device("cuda"), torch.bfloat16, 64) is torch.cuda.is_available()


def test_it_is_tried_before_it_is_trusted(monkeypatch) -> None:
    cpu = torch.device("cpu")
    agrees = agrees_with_mask.__wrapped__
    assert agrees(cpu, torch.bfloat16, 16)
    assert agrees(cpu, torch.float32, 64)
    flash = attention._flash
    monkeypatch.setattr(attention, "_flash", lambda *given, causal: flash(*given, causal=True))
    assert not agrees(cpu, torch.bfloat16, 16)
    monkeypatch.setattr(attention, "_flash", None)
    assert not agrees(cpu, torch.bfloat16, 16)


def test_a_forward_pass_without_a_mask_is_that_with_one(make_policy, monkeypatch) -> None:
    batch = TokenBatch(((5, 6, 7, 30, 31), (9, 10, 50)), (((40, 41, 42), (43,), (44, 45)), ((60, 61, 62, 63),)))
    policy = make_policy(spread=0.05, fp32=True)
    results = []
    for flashes in (False, True):
        monkeypatch.setattr(native, "can_flash", lambda *facts, flashes=flashes: flashes)
        with policy.training():
            logprobs, _ = policy.logprobs(batch, 1.0)
            logprobs.sum().backward()
        gradients = {name: tensor.grad.clone() for name, tensor in policy.trainable().items()}
        for tensor in policy.trainable().values():
            tensor.grad = None
        results.append((logprobs.detach(), gradients))
    (masked_logprobs, masked_gradients), (logprobs, gradients) = results
    assert torch.allclose(logprobs, masked_logprobs, atol=1e-5)
    for name, gradient in masked_gradients.items():
        assert (gradients[name] - gradient).norm() <= 1e-4 * gradient.norm() + 1e-9, name
