"""The shape of a model from its config.json alone: what it weighs, and what a forward pass keeps. Without torch."""

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tina_lite.util.errors import BadInput
from tina_lite.util.stateful import Product

ARCHITECTURES = frozenset({"llama", "mistral", "qwen2", "qwen3"})
"""Computed by the engine as plain tensors (policy/dense); others run through transformers' own forward pass."""
ALL_LINEAR = "all-linear"
"""PEFT's word for every linear layer but the head."""
PATTERN = re.compile(r"[*+?|()\[\]^$\\]")
"""What a regular expression has and a name has not."""
MOST_LAYERS = 100
"""Of which one is looked for that a pattern fits."""
FUSED = (("q_proj", "k_proj", "v_proj"), ("o_proj",), ("gate_proj", "up_proj"), ("down_proj",))
"""Projections that read the same input, and are one product in policy/dense."""
_NEEDED = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size")
_OPTIONAL = ("num_key_value_heads", "head_dim")


@dataclass(frozen=True, slots=True)
class ModelShape:
    """Describes a decoder of Llama's kind: attention, and an MLP of gate, up and down."""

    model_type: str
    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    tied: bool
    """Whether the head is the embedding."""
    qkv_bias: bool
    out_bias: bool
    mlp_bias: bool
    qk_norm: bool
    dense: bool
    """Whether the engine's own tensors compute it (ARCHITECTURES, attending fully)."""

    @classmethod
    def from_config(cls, config: Mapping[str, Any], name: str) -> "ModelShape":
        """Read the fields of a config.json. BadInput, under `name`, where it is of another kind."""
        inner = config.get("text_config")
        config = inner if isinstance(inner, Mapping) else config
        _refuse_sizes(config, name)
        if config.get("num_experts") or config.get("num_local_experts"):
            raise BadInput(f"model.id: {name} cannot be planned: it is a mixture of experts")
        kind = str(config.get("model_type", ""))
        heads = config["num_attention_heads"]
        biased = bool(config.get("attention_bias", False))
        return cls(
            model_type=kind,
            hidden=config["hidden_size"],
            intermediate=config["intermediate_size"],
            layers=config["num_hidden_layers"],
            heads=heads,
            kv_heads=config.get("num_key_value_heads") or heads,
            head_dim=config.get("head_dim") or config["hidden_size"] // heads,
            vocabulary=config["vocab_size"],
            tied=bool(
                config.get("tie_word_embeddings", kind not in ARCHITECTURES)
            ),  # theirs is "not tied", and left out
            qkv_bias=biased or kind == "qwen2",
            out_bias=biased and kind != "qwen2",
            mlp_bias=bool(config.get("mlp_bias", False)),
            qk_norm=kind == "qwen3",
            dense=kind in ARCHITECTURES and config.get("hidden_act") == "silu" and not _slides(config, kind),
        )

    @property
    def linears(self) -> dict[str, tuple[int, int]]:
        """The (in, out) of the projections of a layer."""
        query, key = self.heads * self.head_dim, self.kv_heads * self.head_dim
        return {
            "q_proj": (self.hidden, query),
            "k_proj": (self.hidden, key),
            "v_proj": (self.hidden, key),
            "o_proj": (query, self.hidden),
            "gate_proj": (self.hidden, self.intermediate),
            "up_proj": (self.hidden, self.intermediate),
            "down_proj": (self.intermediate, self.hidden),
        }

    @property
    def mlp_products(self) -> dict[Product, tuple[int, int]]:
        """The (out, in) of the products of a layer's MLP."""
        return {"gate_up": (2 * self.intermediate, self.hidden), "down": (self.hidden, self.intermediate)}

    @property
    def linear_weights(self) -> int:
        """Weights that all projections have: what NF4 covers."""
        return self.layers * sum(inputs * outputs for inputs, outputs in self.linears.values())

    @property
    def head_weights(self) -> int:
        return self.vocabulary * self.hidden

    @property
    def other_weights(self) -> int:
        """Weights that stay in 16 bits: embedding, head, norms and biases."""
        query, key = self.heads * self.head_dim, self.kv_heads * self.head_dim
        layer = 2 * self.hidden
        layer += (query + 2 * key) * self.qkv_bias + self.hidden * self.out_bias
        layer += (2 * self.intermediate + self.hidden) * self.mlp_bias + 2 * self.head_dim * self.qk_norm
        return (1 if self.tied else 2) * self.head_weights + self.layers * layer + self.hidden

    @property
    def parameters(self) -> int:
        return self.linear_weights + self.other_weights

    def lora_parameters(self, r: int, targets: Iterable[str]) -> int:
        """Count the weights of an adapter of rank `r` on the projections named."""
        linears = self.linears
        return self.layers * r * sum(sum(linears[name]) for name in _chosen(targets, linears))

    def fused_adapter_elements(self, r: int, targets: Iterable[str]) -> int:
        """Count the elements of the adapter as FusedLinear lays it out: A stacked, B block-diagonal, zeros included."""
        runtime, elements = _chosen(targets, self.linears), 0
        for group in FUSED:
            rank = r * len(runtime.intersection(group))
            elements += rank * (self.linears[group[0]][0] + sum(self.linears[name][1] for name in group))
        return self.layers * elements

    def kv_bytes(self, itemsize: int) -> int:
        """Count the bytes of the keys and values of one token."""
        return 2 * self.layers * self.kv_heads * self.head_dim * itemsize

    def kept_bytes(self, tokens: int, itemsize: int) -> int:
        """About what a forward pass over packed tokens keeps for its backward pass, without recomputation."""
        in_dtype = 4 * self.hidden + self.heads * self.head_dim + 3 * self.intermediate
        in_attention = 2 * (2 * self.heads + 2 * self.kv_heads) * self.head_dim  # in rows, and packed
        return tokens * self.layers * (in_dtype + in_attention) * itemsize

    @property
    def largest_weight(self) -> int:
        """Elements that the largest product of a layer has."""
        return max(self.linears[group[0]][0] * sum(self.linears[name][1] for name in group) for group in FUSED)


def shape_of(config: Any) -> ModelShape:
    """Of a model that transformers knows, by its config object; about its size where it is of another kind."""
    fields = config.to_dict()
    try:
        return ModelShape.from_config(fields, str(config.model_type))
    except BadInput:
        text = config.get_text_config()
        experts = getattr(text, "num_experts", None) or getattr(text, "num_local_experts", None) or 1
        inner = getattr(text, "moe_intermediate_size", None) or getattr(text, "intermediate_size", None)
        known = {name: getattr(text, name, 1) for name in _NEEDED}  # no heads: no layer has attention
        known["intermediate_size"] = (
            max(inner) if isinstance(inner, list) else inner or 4 * text.hidden_size
        ) * experts
        return ModelShape.from_config({"model_type": config.model_type, **known}, str(config.model_type))


def _refuse_sizes(config: Mapping[str, Any], name: str) -> None:
    """BadInput where a size that a shape is made of is absent, or no whole number above 0."""
    missing = [field for field in _NEEDED if config.get(field) is None]
    if missing:
        raise BadInput(f"model.id: {name} cannot be planned: its config.json has no {', '.join(missing)}")
    for field in (*_NEEDED, *_OPTIONAL):
        size = config.get(field)
        if size is not None and (type(size) is not int or size < 1):
            wanted = "needs a whole number above 0"
            raise BadInput(f"model.id: {name} cannot be planned: its config.json has {field}: {size!r}; {wanted}")


def _slides(config: Mapping[str, Any], kind: str) -> bool:
    """Whether some layer attends to a window only."""
    kinds = config.get("layer_types") or []
    if any(kind != "full_attention" for kind in (kinds if isinstance(kinds, list) else [kinds])):
        return True
    if kind == "mistral":  # whose default is a window of 4096
        return config.get("sliding_window", 4096) is not None
    return bool(config.get("use_sliding_window", False))


def _chosen(targets: Iterable[str], linears: Mapping[str, object]) -> set[str]:
    """By their names, or by regular expressions for their whole names in any layer, as PEFT's target_modules are."""
    named = set(targets)
    if ALL_LINEAR in named:
        return set(linears)
    places = [f"model.layers.{layer}.{block}." for layer in range(MOST_LAYERS) for block in ("self_attn", "mlp")]
    patterns = [re.compile(target) for target in named if PATTERN.search(target) or "." in target]
    matched = {name for name in linears if any(one.fullmatch(place + name) for one in patterns for place in places)}
    return matched | (named & linears.keys())


TABLE = Path(__file__).with_name("architectures.csv")


@dataclass(frozen=True, slots=True)
class Architecture:
    """Is one row of the table: largest differences over a tiny random model in float32."""

    kind: str
    """model_type of a config.json."""
    engine: str
    log_prob: float | None
    """Nats."""
    gradient: float | None
    """As a share of the norm of a tensor's gradient."""
    greedy: str
    """Texts of a group that are equal, of all."""
    refused: str
    """Why; empty where it is accepted."""

    def cells(self) -> tuple[str, ...]:
        figures = ("" if value is None else f"{value:.1e}" for value in (self.log_prob, self.gradient))
        return (self.kind, self.engine, *figures, self.greedy, self.refused)

    def __str__(self) -> str:
        if self.refused:
            return f"{self.kind}: refused, {self.refused}"
        return (
            f"{self.kind}: {self.engine}, log-probs within {self.log_prob:.1e} nats of transformers, gradients within "
            f"{self.gradient:.1e} of their norm, {self.greedy} greedy texts equal"
        )


@cache
def architectures() -> dict[str, Architecture]:
    """Read the table, by model_type."""
    with TABLE.open(newline="") as file:
        rows = [list(row.values()) for row in csv.DictReader(file)]
    return {
        kind: Architecture(kind, engine, _number(log_prob), _number(gradient), greedy, refused)
        for kind, engine, log_prob, gradient, greedy, refused in rows
    }


def refuse_architecture(kind: str) -> None:
    """BadInput for one that is known not to be computed right; one that nobody tried is compared as it is loaded."""
    known = architectures().get(kind)
    if known is not None and known.refused:
        raise BadInput(f"model.id: {kind} is not supported: {known.refused}; choose another model")


def _number(cell: str) -> float | None:
    return float(cell) if cell else None
