"""Our attention against the library's: the same function, the same gradients, in pieces or whole."""

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from tina_lite.policy.dense import attention as module
from tina_lite.policy.dense.attention import _Attention, attention

ROWS, HEADS, KV_HEADS, WIDTH, KEYS, SIZE = 5, 6, 2, 4, 9, 8


def tensors(dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    shapes = ((ROWS, HEADS, WIDTH, SIZE), (ROWS, KV_HEADS, KEYS, SIZE), (ROWS, KV_HEADS, KEYS, SIZE))
    return [torch.randn(shape, dtype=torch.float64, generator=generator).to(dtype).requires_grad_() for shape in shapes]


def mask(rows: int, dtype=torch.float64):
    """Each query sees the first key and some others."""
    seen = torch.rand(rows, 1, WIDTH, KEYS, generator=torch.Generator().manual_seed(1)) < 0.6
    seen[..., 0] = True
    return torch.zeros(seen.shape, dtype=dtype).masked_fill(~seen, -torch.inf)


@pytest.mark.parametrize("rows", [1, ROWS])
@pytest.mark.parametrize("at_once", [1, 2, ROWS])
def test_it_is_the_librarys_function_with_its_gradients(monkeypatch, rows, at_once):
    monkeypatch.setattr(module, "SCORES", at_once * HEADS * WIDTH * KEYS)
    query, key, value = tensors()
    out = _Attention.apply(query, key, value, mask(rows))
    wanted = scaled_dot_product_attention(query, key, value, mask(rows), enable_gqa=True)
    assert torch.allclose(out, wanted)
    direction = torch.linspace(-1, 1, out.numel(), dtype=torch.float64).view(out.shape)
    ours = torch.autograd.grad(out, (query, key, value), direction)
    theirs = torch.autograd.grad(wanted, (query, key, value), direction)
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one, other)


def test_in_bfloat16_it_is_off_by_its_rounding_alone():
    exact = scaled_dot_product_attention(*tensors(), mask(ROWS), enable_gqa=True)
    rounded = attention(*tensors(torch.bfloat16), mask(ROWS, torch.bfloat16))
    assert rounded.dtype == torch.bfloat16
    assert torch.allclose(rounded.double(), exact, atol=0.02)


def test_without_a_mask_it_is_causal():
    query, key, value = (x[:, :, :WIDTH] for x in tensors(torch.bfloat16))
    causal = scaled_dot_product_attention(query.double(), key.double(), value.double(), is_causal=True, enable_gqa=True)
    assert torch.allclose(attention(query, key, value).double(), causal, atol=0.02)
