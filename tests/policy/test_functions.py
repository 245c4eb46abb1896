"""Each written-out backward pass against autograd's own, in float64."""

from types import SimpleNamespace

import pytest
import torch
from torch.autograd import gradcheck

from tina_lite.policy.dense.autograd_ops import adapted_linear, pad, rms_norm, rotary, swiglu


def tensor(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


def test_rms_norm():
    x, weight = tensor(5, 3, 8).requires_grad_(), tensor(8, seed=1)
    assert gradcheck(lambda x: rms_norm(x, weight, 1e-5), x)
    assert torch.allclose(rms_norm(x, weight, 1e-5), torch.nn.functional.rms_norm(x, (8,), weight, 1e-5))


def test_rotary_turns_the_first_heads_and_leaves_the_rest():
    x, angle = tensor(5, 3, 8).requires_grad_(), tensor(5, 1, 4, seed=1).expand(5, 2, 4)
    assert gradcheck(lambda x: rotary(x, angle.cos(), angle.sin()), x)
    y = rotary(x, angle.cos(), angle.sin())
    turned = torch.view_as_complex(torch.stack(x[:, :2].chunk(2, dim=-1), -1)) * torch.exp(1j * angle)
    assert torch.allclose(y[:, :2], torch.cat((turned.real, turned.imag), -1))
    assert torch.equal(y[:, 2:], x[:, 2:])


def test_swiglu():
    x = tensor(5, 8).requires_grad_()
    assert gradcheck(swiglu, x)
    assert torch.allclose(swiglu(x), torch.nn.functional.silu(x[:, :4]) * x[:, 4:])


@pytest.mark.parametrize("bias", [None, tensor(6, seed=3)])
def test_adapted_linear(bias):
    weight, x = tensor(6, 4), tensor(5, 4, seed=1).requires_grad_()
    a, b = tensor(2, 4, seed=4).requires_grad_(), tensor(6, 2, seed=5).requires_grad_()
    linear = SimpleNamespace(weight=weight, bias=bias, adapter=lambda: (a, b), dropout=0.0)
    assert gradcheck(lambda x, a, b: adapted_linear(x, linear), (x, a, b))
    expected = x @ weight.T + (0.0 if bias is None else bias) + x @ a.T @ b.T
    assert torch.allclose(adapted_linear(x, linear), expected)
    frozen = adapted_linear(x, linear, adapter=False)
    assert torch.allclose(frozen, expected - x @ a.T @ b.T)
    assert gradcheck(lambda x: adapted_linear(x, linear, adapter=False), x)


def test_dropout_is_on_what_the_adapter_reads_alone():
    weight, x = tensor(6, 4), tensor(5, 4, seed=1)
    a, b = tensor(2, 4, seed=4), tensor(6, 2, seed=5)
    linear = SimpleNamespace(weight=weight, bias=None, adapter=lambda: (a, b), dropout=0.5)
    torch.manual_seed(7)
    dropped = adapted_linear(x, linear, dropout=True)
    torch.manual_seed(7)
    assert torch.allclose(dropped, x @ weight.T + torch.nn.functional.dropout(x, 0.5) @ a.T @ b.T)
    assert torch.allclose(adapted_linear(x, linear), x @ weight.T + x @ a.T @ b.T)


def test_padding_gets_no_gradient():
    x = tensor(3, 2).requires_grad_()
    places, real = torch.tensor([0, 1, 2, 0]), torch.tensor([0, 1, 2])
    padded = pad(x, places, real)
    (padded * torch.tensor([[1.0], [2.0], [3.0], [100.0]])).sum().backward()
    assert x.grad[:, 0].tolist() == [1.0, 2.0, 3.0]
