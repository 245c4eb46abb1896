"""What the engine reckons with, against what it does: the bytes that a forward pass keeps, the copy of the base."""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tina_lite.plan import read_shape
from tina_lite.policy.interface import TokenBatch
from tina_lite.policy.model_folder import TINY_BASE
from tina_lite.policy.shape import ModelShape
from tina_lite.util.errors import BadInput

SMALL = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 100,
}
OTHERS = ("text_config", "layer_types", "head_dim", "num_key_value_heads")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
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


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("hidden_size", None, "has no hidden_size"),
        ("num_attention_heads", 0, "has num_attention_heads: 0; needs a whole number above 0"),
        ("num_hidden_layers", -2, "has num_hidden_layers: -2"),
        ("vocab_size", "many", "has vocab_size: 'many'"),
        ("vocab_size", True, "has vocab_size: True"),
        ("num_key_value_heads", 0.5, "has num_key_value_heads: 0.5"),
        ("head_dim", [], "has head_dim: \\[\\]"),
        ("num_experts", 8, "mixture of experts"),
    ],
)
def test_a_config_that_makes_no_shape_is_one_line(field, value, said):
    with pytest.raises(BadInput, match=f"^model.id: mine cannot be planned: [^\\n]*{said}[^\\n]*$"):
        ModelShape.from_config({**SMALL, field: value}, "mine")


@given(
    st.dictionaries(st.sampled_from([*SMALL, "text_config", "layer_types", "head_dim", "num_key_value_heads"]), JSON)
)
def test_no_config_is_a_fault(config):
    for tried in (config, {**SMALL, **config}, {"text_config": {**SMALL, **config}}):
        try:
            shape = ModelShape.from_config(json.loads(json.dumps(tried)), "mine")
        except BadInput:
            continue
        assert min(shape.parameters, shape.kept_bytes(8, 2)) > 0
