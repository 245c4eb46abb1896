"""Models of Llama's shape (llama, mistral, qwen2, qwen3) as plain tensors: a dense frozen base, the adapter beside it.

Projections that read the same input are one product, and so are their adapters: y = x W' + s (x A') B', with A the
adapters' rows stacked and B block-diagonal. Training (forward.py) keeps base and adapter apart, as peft does. So does
sampling (decoder.py), but for float32 on a CPU: there it has a packed copy of its own, W + s B A, made anew after each
update from W and not from the last sum, so that roundings do not add up. In bfloat16 that sum would be W again: an
update of 1e-5 is less than half a step of its grid, and the sampler would go on with the policy of yesterday.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tina_lite.policy.adapters import in_dtype
from tina_lite.policy.shape import ARCHITECTURES


def can_pack(weight: Tensor) -> bool:
    return weight.device.type == "cpu" and torch.backends.mkldnn.is_available() and _is_known(weight.dtype)


@cache
def _is_known(dtype: torch.dtype) -> bool:
    """Tried once: for 16 bits the library wants a processor that has instructions for them."""
    ones = torch.ones(16, 16, dtype=dtype)
    try:
        packed_linear(ones, packed(ones), plus=ones)
    except RuntimeError:
        return False
    return True


def packed(weight: Tensor) -> Tensor:
    """A weight (out, in) in the layout that `packed_linear` reads; opaque, not for other use."""
    with torch.no_grad():
        blocked: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, None)  # as torch.compile does
    return blocked


def packed_linear(x: Tensor, weight: Tensor, bias: Tensor | None = None, plus: Tensor | None = None) -> Tensor:
    """Take x (N, in) to x W' + bias + plus (N, out), rounded once, without gradient."""
    y: Tensor
    if plus is None:
        y = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    else:
        y = torch.ops.mkldnn._linear_pointwise.binary(x, plus, weight, bias, "add")
    return y


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


def base_weight(module: Any) -> Tensor:
    """The frozen weight of a linear module, (out, in), dequantised where it is in 4 bits."""
    import bitsandbytes as bnb

    base = getattr(module, "base_layer", module)
    if isinstance(base, bnb.nn.Linear4bit):
        weight: Tensor = bnb.functional.dequantize_4bit(base.weight.data, base.weight.quant_state)
        return weight
    plain: Tensor = base.weight.detach()
    return plain


class FusedLinear:
    """Linear modules that read the same input, with their adapters, as one."""

    def __init__(self, modules: Sequence[Any], dtype: torch.dtype, dense_copy: bool) -> None:
        """`dense_copy` keeps the dense weight; else it is dequantised at each use, slower and without its memory."""
        self._modules = modules
        self._dtype = dtype
        biases = [getattr(module, "base_layer", module).bias for module in modules]
        self.bias = None if biases[0] is None else torch.cat([bias.detach().to(dtype) for bias in biases])
        self._weight = self.dense() if dense_copy else None
        self._packed: Tensor | None = None  # for sampling: base and adapter in one, or the base alone
        self._merges = dtype == torch.float32
        self.outputs: int = sum(module.out_features for module in modules)
        self._adapted = any(hasattr(module, "lora_A") for module in modules)
        self.dropout: float = max((_dropout(module) for module in modules), default=0.0)
        self._sampling_adapter: tuple[Tensor, Tensor] | None = None  # as of the last refresh

    def dense(self) -> Tensor:
        return torch.cat([base_weight(module).to(self._dtype) for module in self._modules])

    @property
    def weight(self) -> Tensor:
        """Give the weight (out, in) without adapter."""
        return self.dense() if self._weight is None else self._weight

    def adapter(self) -> tuple[Tensor, Tensor] | None:
        """A (R, in), and B (out, R) with its scaling; R is the sum of the ranks. Gradients reach the parameters."""
        if not self._adapted:
            return None
        down, up = [], []
        for module in self._modules:
            if hasattr(module, "lora_A"):
                down.append(in_dtype(module.lora_A["default"].weight, self._dtype))
                up.append(in_dtype(module.lora_B["default"].weight, self._dtype) * module.scaling["default"])
            else:
                up.append(torch.zeros(module.out_features, 0, dtype=self._dtype, device=module.weight.device))
        return torch.cat(down), torch.block_diag(*up)

    @torch.no_grad()
    def refresh(self) -> None:
        adapter = self.adapter()
        packs = self._weight is not None and can_pack(self._weight)
        merges = packs and self._merges and adapter is not None
        self._sampling_adapter = None if merges else adapter
        if packs and (merges or self._packed is None):
            self._packed = packed(self._with(adapter) if merges else self.weight)

    def _with(self, adapter: tuple[Tensor, Tensor] | None) -> Tensor:
        return self.weight if adapter is None else torch.addmm(self.weight, adapter[1], adapter[0])

    def __call__(self, x: Tensor) -> Tensor:
        """For sampling: x (N, in) to (N, out), without gradient."""
        adapter = self._sampling_adapter
        low_rank = None if adapter is None else x @ adapter[0].T @ adapter[1].T
        if self._packed is not None:
            return packed_linear(x, self._packed, self.bias, low_rank)
        return F.linear(x, self.weight, self.bias) if low_rank is None else linear_plus(low_rank, x, self)


def linear_plus(plus: Tensor, x: Tensor, linear: FusedLinear) -> Tensor:
    """Write x W' + bias + plus into the place of `plus`.

    The sum is rounded once: added to a product that was rounded to 16 bits before, a small adapter would be lost.
    """
    y = plus.addmm_(x, linear.weight.T)
    return y if linear.bias is None else y.add_(linear.bias)


def _dropout(module: Any) -> float:
    return float(getattr(module.lora_dropout["default"], "p", 0.0)) if hasattr(module, "lora_dropout") else 0.0


class DenseLayer:
    """Holds one transformer layer."""

    def __init__(self, layer: Any, dtype: torch.dtype, dense_copy: bool) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        self.qkv = FusedLinear((attention.q_proj, attention.k_proj, attention.v_proj), dtype, dense_copy)
        self.out = FusedLinear((attention.o_proj,), dtype, dense_copy)
        self.gate_up = FusedLinear((mlp.gate_proj, mlp.up_proj), dtype, dense_copy)
        self.down = FusedLinear((mlp.down_proj,), dtype, dense_copy)
        self.attention_norm = layer.input_layernorm.weight.detach()
        self.mlp_norm = layer.post_attention_layernorm.weight.detach()
        self.query_norm = attention.q_norm.weight.detach() if hasattr(attention, "q_norm") else None
        self.key_norm = attention.k_norm.weight.detach() if hasattr(attention, "k_norm") else None

    @property
    def linears(self) -> tuple[FusedLinear, ...]:
        return self.qkv, self.out, self.gate_up, self.down


class DenseModel:
    """A causal model as tensors; `refresh` after each change of the adapter."""

    def __init__(self, causal_lm: Any, dtype: torch.dtype, *, dense_copy: bool = True) -> None:
        config, inner = causal_lm.config, causal_lm.model
        self.layers = [DenseLayer(layer, dtype, dense_copy) for layer in inner.layers]
        self.embedding = inner.embed_tokens.weight.detach()  # (V, H)
        self.head = causal_lm.lm_head.weight.detach()  # (V, H)
        self._packed_head = packed(self.head) if dense_copy and can_pack(self.head) else None
        self.final_norm = inner.norm.weight.detach()
        self.norm_epsilon: float = config.rms_norm_eps
        self.dtype = dtype
        self.dense_copy = dense_copy
        self.query_heads: int = config.num_attention_heads
        self.kv_heads: int = config.num_key_value_heads
        self.head_dim: int = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        self._rotary = inner.rotary_emb
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
