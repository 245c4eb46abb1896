"""The bare matrix products of decoding and of training: what the arithmetic costs at this machine's GEMM rate.

Each is timed on the policy's own weights, layer after layer, so that they come from memory as they do in use. Forward
2 and backward 2 FLOPs a parameter and token, adapters included; weight gradients and recomputation do not count.
"""

import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import linear as plain_linear

from tina_lite.policy.dense.linears import FusedLinear, packed, packed_linear
from tina_lite.policy.dense.model import DenseModel

REPEATS = 5


def fastest(work: Callable[[], object]) -> float:
    """Seconds, the least of some runs after a warm-up."""
    work()
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def weights_of(linear: FusedLinear) -> list[Tensor]:
    """Base weight and, where adapted, A and B, each (out, in)."""
    adapter = linear.adapter()
    return [linear.weight, *(tensor.detach() for tensor in adapter or ())]


def layer_weights(model: DenseModel) -> list[Tensor]:
    return [weight for layer in model.layers for linear in layer.linears for weight in weights_of(linear)]


def inputs(weights: list[Tensor], rows: int, dtype: torch.dtype) -> dict[int, Tensor]:
    """A random (rows, n) for each size n that occurs on either side of a weight."""
    return {size: torch.randn(rows, size).to(dtype) for weight in weights for size in weight.shape}


@torch.no_grad()
def forward_seconds(model: DenseModel, rows: int) -> float:
    """One decode step of so many rows, by the faster of the plain and the packed layout."""
    weights = [*layer_weights(model), model.head]
    x = inputs(weights, rows, model.dtype)
    laid_out = [packed(weight) for weight in weights]
    pairs = [(x[weight.shape[1]], blocked) for weight, blocked in zip(weights, laid_out, strict=True)]
    return min(
        fastest(lambda: [plain_linear(x[weight.shape[1]], weight) for weight in weights]),
        fastest(lambda: [packed_linear(rows_in, blocked) for rows_in, blocked in pairs]),
    )


@torch.no_grad()
def training_seconds(model: DenseModel, tokens: int, predicting: int) -> float:
    """Forward and backward of `tokens` packed tokens, of which `predicting` meet the output embedding."""
    weights = layer_weights(model)
    x, hidden = inputs(weights, tokens, model.dtype), inputs([model.head], predicting, model.dtype)
    chunk = 256  # rows of logits at once

    def layers() -> None:
        for weight in weights:
            plain_linear(x[weight.shape[1]], weight)
        for weight in reversed(weights):
            x[weight.shape[0]] @ weight

    def head() -> None:
        for rows, logits in zip(hidden[model.head.shape[1]].split(chunk), hidden[model.head.shape[0]].split(chunk)):
            plain_linear(rows, model.head)
            logits @ model.head

    return fastest(layers) + fastest(head)
