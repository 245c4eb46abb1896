"""Models of Llama's shape (llama, mistral, qwen2, qwen3) as plain tensors, their projections fused (linears.py)."""

from collections.abc import Callable, Collection
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tina_lite.policy.dense.between import between_on
from tina_lite.policy.dense.linears import FusedLinear, can_pack, packed, packed_linear
from tina_lite.policy.shape import ARCHITECTURES, shape_of
from tina_lite.util.stateful import Product

Norm = Callable[[Tensor, Tensor, float], Tensor]


def fits(causal_lm: Any) -> bool:
    """Whether DenseModel computes what this model does: a known shape, full attention, adapters on projections only."""
    config = causal_lm.config
    layers_attend_fully = set(getattr(config, "layer_types", None) or ["full_attention"]) == {"full_attention"}
    slides = getattr(config, "sliding_window", None) is not None and getattr(config, "use_sliding_window", True)
    adapted = {name.split(".lora_")[0].split(".")[-1] for name, _ in causal_lm.named_parameters() if ".lora_" in name}
    return (
        config.model_type in ARCHITECTURES
        and config.hidden_act == "silu"
        and layers_attend_fully
        and not slides
        and adapted <= {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
    )


class DenseLayer:
    """Holds one transformer layer."""

    def __init__(self, layer: Any, dtype: torch.dtype, dense_copy: bool, in_4_bits: Collection[Product]) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        self.qkv = FusedLinear((attention.q_proj, attention.k_proj, attention.v_proj), dtype, dense_copy)
        self.out = FusedLinear((attention.o_proj,), dtype, dense_copy)
        self.gate_up = FusedLinear((mlp.gate_proj, mlp.up_proj), dtype, dense_copy, in_4_bits="gate_up" in in_4_bits)
        self.down = FusedLinear((mlp.down_proj,), dtype, dense_copy, in_4_bits="down" in in_4_bits)
        self.attention_norm = layer.input_layernorm.weight.detach()
        self.mlp_norm = layer.post_attention_layernorm.weight.detach()
        self.query_norm = attention.q_norm.weight.detach() if hasattr(attention, "q_norm") else None
        self.key_norm = attention.k_norm.weight.detach() if hasattr(attention, "k_norm") else None

    @property
    def linears(self) -> tuple[FusedLinear, ...]:
        return self.qkv, self.out, self.gate_up, self.down


class DenseModel:
    """A causal model as tensors; `refresh` after each change of the adapter."""

    def __init__(
        self,
        causal_lm: Any,
        dtype: torch.dtype,
        *,
        dense_copy: bool = True,
        in_4_bits: Collection[Product] = (),
        half_sums: bool = False,
    ) -> None:
        """`half_sums`: of the products with frozen weights in training (half_sums.py)."""
        config, inner = causal_lm.config, causal_lm.model
        self.layers = [DenseLayer(layer, dtype, dense_copy, in_4_bits) for layer in inner.layers]
        self.embedding = inner.embed_tokens.weight.detach()  # (V, H)
        self.head = causal_lm.lm_head.weight.detach()  # (V, H)
        self._packed_head = packed(self.head) if dense_copy and can_pack(self.head) else None
        self.final_norm = inner.norm.weight.detach()
        self.norm_epsilon: float = config.rms_norm_eps
        self.dtype = dtype
        self.dense_copy = dense_copy
        self.half_sums = half_sums
        shape = shape_of(config)
        self.query_heads, self.kv_heads, self.head_dim = shape.heads, shape.kv_heads, shape.head_dim
        self._rotary = inner.rotary_emb
        self.between = between_on(self.device, dtype, shape, self.norm_epsilon)
        self.refresh()

    def refresh(self) -> None:
        """Bring the sampling copy of the adapter up to date."""
        for layer in self.layers:
            for linear in layer.linears:
                linear.refresh()

    @property
    def device(self) -> torch.device:
        device: torch.device = self.head.device
        return device

    def logits(self, hidden: Tensor) -> Tensor:
        """Take final hidden states (N, H) to (N, V), without gradient."""
        return F.linear(hidden, self.head) if self._packed_head is None else packed_linear(hidden, self._packed_head)

    def rotation(self, positions: Tensor) -> tuple[Tensor, ...]:
        """Give cos and sin of positions (M,), each (M, query and key heads, head_dim / 2), by the model's embedding."""
        probe = torch.empty(0, dtype=torch.float32, device=positions.device)
        cos, sin = self._rotary(probe, positions[None])
        shape = (-1, self.query_heads + self.kv_heads, -1)
        half = self.head_dim // 2  # both halves are alike
        return tuple(angle[0, :, None, :half].to(self.dtype).expand(shape) for angle in (cos, sin))

    def normed_heads(self, layer: DenseLayer, heads: Tensor, norm: Norm) -> Tensor:
        """Fused (M, heads, d) with query and key heads normed where the architecture does so (qwen3)."""
        if layer.query_norm is None or layer.key_norm is None:
            return heads
        query, key, value = heads.split((self.query_heads, self.kv_heads, self.kv_heads), dim=1)
        query, key = norm(query, layer.query_norm, self.norm_epsilon), norm(key, layer.key_norm, self.norm_epsilon)
        return torch.cat((query, key, value), dim=1)
