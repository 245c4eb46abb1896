"""Does the engine compute what transformers and peft compute? Tried on a tiny random model of each architecture.

    make models                     all; the table is tina_lite/policy/architectures.csv
    make models ARGS='qwen3 lfm2'   some, whose rows are made anew

Each model is sampled and scored by the engine in float32, with an adapter that acts, and compared with transformers'
eager attention and peft's adapter over each whole row: log-probs and gradients with dropout in the base and without,
with prompts shared and not, and the greedy texts of a group whose rows leave and enter at other times. Windows are
shorter than the prompts, soft caps and scales strong enough to be seen.
"""

import csv
import re
import sys
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.utils import logging

from tina_lite.policy.interface import TokenBatch
from tina_lite.policy.native import NativePolicy
from tina_lite.policy.pretrained import load_tokenizer
from tina_lite.policy.shape import TABLE, Architecture, architectures
from tina_lite.recipe.schema import LoraSection, ModelSection
from tina_lite.util.errors import BadInput, one_line

VOCABULARY, LAYERS, WINDOW = 384, 4, 8
SIZES = {
    **dict.fromkeys(("hidden_size", "n_embd", "d_model", "word_embed_proj_dim"), 64),
    **dict.fromkeys(("intermediate_size", "ffn_dim", "n_inner"), 128),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size"), 64),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers"), LAYERS),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads"), 4),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "max_seq_len"), 256),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts"), 4),
    **dict.fromkeys(("num_experts_per_tok", "moe_topk"), 2),
    **dict.fromkeys(("attention_dropout", "resid_pdrop", "embd_pdrop", "attn_pdrop", "hidden_dropout"), 0.2),
    **dict.fromkeys(("dropout", "activation_dropout", "residual_dropout"), 0.2),
    "vocab_size": VOCABULARY,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "n_shared_experts": 1,
    "sliding_window": WINDOW,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
"""Under all the names that configs have for them; each takes those that it knows."""
MIXED = ["linear_attention", "full_attention"] * (LAYERS // 2)
DELTA = {"linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 16, "linear_value_head_dim": 16}
MLA = {"q_lora_rank": 32, "kv_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 16, "v_head_dim": 16,
       "num_key_value_heads": 4, "head_dim": 8}  # fmt: skip
MAMBA = {"mamba_d_state": 16, "mamba_n_heads": 8, "mamba_d_head": 16, "mamba_n_groups": 1, "mamba_chunk_size": 16}
OWN: dict[str, dict[str, Any]] = {
    "bamba": {**MAMBA, "attn_layer_indices": [1, 3]},
    "codegen": {"rotary_dim": 8},
    "cohere_compass_text": {"layer_types": ["sliding_attention", "full_attention"] * 2},
    "deepseek_v2": {**MLA, "n_group": 1, "topk_group": 1},
    "deepseek_v3": {**MLA, "n_group": 1, "topk_group": 1, "first_k_dense_replace": 1},
    "diffllama": {"attention_dropout": 0.0},
    "falcon": {"new_decoder_architecture": False},
    "falcon_h1": {**MAMBA, "mamba_d_ssm": 128, "attention_out_multiplier": 0.7, "ssm_out_multiplier": 0.7},
    "falcon_mamba": {"state_size": 16},
    "gemma2": {"attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0},
    "gemma4_text": {"vocab_size_per_layer_input": VOCABULARY, "hidden_size_per_layer_input": 16, "global_head_dim": 16},
    "glm4_moe_lite": {**MLA, "n_group": 1, "topk_group": 1},
    "gpt_neo": {"attention_types": [[["global", "local"], 2]], "window_size": WINDOW},
    "gptj": {"rotary_dim": 8},
    "gemma3n_text": {
        "layer_types": ["sliding_attention", "full_attention"] * 2,
        "num_kv_shared_layers": 0,
        "activation_sparsity_pattern": [0.0] * LAYERS,
        "vocab_size_per_layer_input": VOCABULARY,
        "hidden_size_per_layer_input": 16,
        "laurel_rank": 8,
    },
    "granite": {"logits_scaling": 8.0, "embedding_multiplier": 12.0, "residual_multiplier": 0.2},
    "granitemoehybrid": {**MAMBA, "layer_types": MIXED, "shared_intermediate_size": 64},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "mamba_d_state": 8, "mamba_dt_rank": 8},
    "kimi_linear": {**MLA},
    "lfm2": {"layer_types": ["conv", "full_attention"] * 2, "block_ffn_dim_multiplier": 1.0},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"] * 2, "num_dense_layers": 1},
    "mamba": {"state_size": 16},
    "mamba2": {"state_size": 16, "num_heads": 8, "head_dim": 16, "n_groups": 1, "chunk_size": 16},
    "minicpm3": {**MLA, "num_key_value_heads": 4},
    "nemotron_h": {"mamba_num_heads": 8, "mamba_head_dim": 16, "ssm_state_size": 16, "n_groups": 1, "chunk_size": 16},
    "olmo_hybrid": {"layer_types": MIXED, **DELTA},
    "phi3": {"lora": "all-linear"},
    "qwen3_5_text": {"layer_types": MIXED, **DELTA},
    "qwen3_5_moe_text": {"layer_types": MIXED, **DELTA},
    "qwen3_next": {"layer_types": MIXED, **DELTA},
    "vaultgemma": {"attn_logit_softcapping": 2.0},
    "youtu": {**MLA},
    "zamba2": {**MAMBA, "num_hidden_layers": 6, "hybrid_layer_ids": [1, 3], "adapter_rank": 8},
}
"""What else a type needs to be tiny, or to show what it has of its own."""
READS_BOTH_WAYS = (
    "bert bert-generation big_bird camembert data2vec-text electra ernie megatron-bert rembert roberta "
    "roberta-prelayernorm roc_bert roformer xlm xlm-roberta xlm-roberta-xl xlnet xmod reformer"
)
HAS_AN_ENCODER = (
    "bart bigbird_pegasus blenderbot blenderbot-small blt marian mbart mvp pegasus plbart prophetnet trocr whisper "
    "moshi musicgen musicgen_melody git fuyu mllama got_ocr2"
)
"""Types that are in transformers' list of causal models, but are no decoders of text."""
PROMPTS = (tuple(range(5, 45)), (9, 10, 50, 51, 300))
COMPLETIONS = (((40, 41, 42), tuple(range(200, 209)), (7,)), ((60, 61, 62, 63, 64, 65), (90, 91)))
GROUPED = TokenBatch(PROMPTS, COMPLETIONS)
SINGLE = TokenBatch(tuple(p for p, _ in GROUPED.sequences), tuple((c,) for _, c in GROUPED.sequences))
TEMPERATURE, TOKENS, LONGEST = 0.8, 12, 64
NOT_TRIED = "not tried"
"""As no small config of the type is known here."""
LOG_PROB, GRADIENT = 1e-4, 1e-3
"""Largest differences of an architecture that is accepted: nats, and the share of a tensor's norm."""


def tiny(kind: str) -> Any:
    """A config of this type with `SIZES`, its layers of every kind that its default has."""
    text = AutoConfig.for_model(kind).get_text_config()
    fields: dict[str, Any] = {
        name: value for name, value in SIZES.items() if name in text.to_dict() or hasattr(type(text), name)
    }
    kinds = list(dict.fromkeys(text.layer_types)) if isinstance(getattr(text, "layer_types", None), list) else []
    if kinds and "layer_types" in text.to_dict():
        fields["layer_types"] = [kinds[layer % len(kinds)] for layer in range(LAYERS)]
    wanted = {**fields, **OWN.get(kind, {})}
    settable = {n: v for n, v in wanted.items() if not isinstance(getattr(type(text), n, None), property)}
    return type(text)(**settable)


def random_model(kind: str, folder: Path) -> None:
    """With weights large enough for logits that differ, and norms and biases that are not 1 and 0."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(tiny(kind))
    for name, tensor in model.named_parameters():
        if "norm" in name or "bias" in name:
            tensor.data.add_(torch.randn_like(tensor) * 0.3)
        elif tensor.dim() > 1:
            tensor.data.mul_(4)
    model.save_pretrained(folder)


@dataclass
class Scored:
    """Log-probs of the rows' completions, end to end, and the gradients of a weighted sum of them."""

    logprobs: Tensor
    gradients: dict[str, Tensor]

    @classmethod
    def of(cls, logprobs: Tensor, adapter: Mapping[str, Tensor]) -> "Scored":
        for tensor in adapter.values():
            tensor.grad = None
        (logprobs * torch.linspace(-1, 1, len(logprobs))).sum().backward()
        gradients = {name: t.grad.float() for name, t in adapter.items() if t.grad is not None}
        return cls(logprobs.detach(), gradients)

    def apart(self, other: "Scored") -> tuple[float, float]:
        """Largest difference of a log-prob, and of a gradient as a share of its norm."""
        shares = [
            float((gradient - other.gradients[name]).norm() / gradient.norm())
            for name, gradient in self.gradients.items()
            if gradient.norm() > 1e-6
        ]
        return float((self.logprobs - other.logprobs).abs().max()), max(shares)


def by_the_engine(policy: NativePolicy, batch: TokenBatch, training: bool) -> Scored:
    adapter = {name.replace(".default.", "."): tensor for name, tensor in policy.trainable().items()}
    mask = batch.completion_mask()
    if not training:
        return Scored.of(policy.logprobs(batch, TEMPERATURE)[0][mask], adapter)
    with policy.training():
        return Scored.of(policy.logprobs(batch, TEMPERATURE)[0][mask], adapter)


def by_transformers(model: Any) -> Scored:
    adapter = {n.replace(".default.", "."): t.requires_grad_() for n, t in model.named_parameters() if "lora_" in n}
    found = []
    for prompt, completion in GROUPED.sequences:
        logits = model(input_ids=torch.tensor([[*prompt, *completion]]), use_cache=False).logits[0]
        table = (logits[len(prompt) - 1 : -1].float() / TEMPERATURE).log_softmax(-1)
        found.append(table.gather(1, torch.tensor(completion)[:, None])[:, 0])
    return Scored.of(torch.cat(found), adapter)


@torch.no_grad()
def texts_of_the_engine(policy: NativePolicy, prompts: list[tuple[int, ...]]) -> list[list[int]]:
    """Greedy ones, decoded three at a time; a row leaves after a length of its own, and the next one enters."""
    decoder = policy.decoder(3, LONGEST)
    prefixes = decoder.prefill(prompts)
    texts: list[list[int]] = [[] for _ in prompts]
    rows: list[int] = []
    waiting = list(range(len(prompts)))
    logits = torch.zeros(0, 0)
    while rows or waiting:
        if new := waiting[: 3 - len(rows)]:
            decoder.admit([prefixes[row] for row in new])
            entering = torch.stack([prefixes[row].logits for row in new])
            logits = torch.cat([logits, entering]) if rows else entering
            rows, waiting = rows + new, waiting[len(new) :]
        tokens = logits.argmax(-1)
        for row, token in zip(rows, tokens.tolist(), strict=True):
            texts[row].append(token)
        kept = [at for at, row in enumerate(rows) if len(texts[row]) < TOKENS - row % 5]
        rows = [rows[at] for at in kept]
        decoder.keep(torch.tensor(kept, dtype=torch.int64))
        if rows:
            logits = decoder.step(tokens[kept])
    return texts


@torch.no_grad()
def text_of_transformers(model: Any, prompt: tuple[int, ...], count: int) -> list[int]:
    ids = list(prompt)
    for _ in range(count):
        ids.append(int(model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()))
    return ids[len(prompt) :]


def tried(kind: str, folder: Path) -> Architecture:
    """The row of an architecture."""
    random_model(kind, folder)
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    base(input_ids=torch.tensor([PROMPTS[0]]), use_cache=False)  # a size that does not fit is no fault of the engine's
    section = ModelSection(id=str(folder), quantization="none", compute_dtype="float32")
    lora = LoraSection(r=4, alpha=8, dropout=0.0, target_modules=("all-linear",))
    policy = NativePolicy(section, lora, load_tokenizer("builtin:tiny"), seed=1, max_tokens=LONGEST)
    generator = torch.Generator().manual_seed(5)
    for name, tensor in policy.trainable().items():
        if "lora_B" in name:
            tensor.data.copy_(torch.randn(tensor.shape, generator=generator) * 0.05)
    policy.sync()
    policy.save_adapter(folder / "adapter")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "Found missing adapter keys")  # then there is nothing to compare with
        theirs = PeftModel.from_pretrained(base, folder / "adapter").eval()
    expected = by_transformers(theirs)
    found = [by_the_engine(policy, batch, training) for batch in (GROUPED, SINGLE) for training in (False, True)]
    log_prob, gradient = (max(parts) for parts in zip(*(expected.apart(one) for one in found), strict=True))
    prompts = [PROMPTS[0][: 3 + 9 * number] if number < 5 else PROMPTS[1] for number in range(8)]
    texts = texts_of_the_engine(policy, prompts)
    same = sum(text == text_of_transformers(theirs, p, len(text)) for p, text in zip(prompts, texts, strict=True))
    engine = "native, shared prompts" if policy.shares_prompts else "native"
    row = Architecture(kind, engine, log_prob, gradient, f"{same}/{len(prompts)}", "")
    if log_prob > LOG_PROB or gradient > GRADIENT or same < len(prompts):
        return replace(row, refused="its figures differ from those of transformers")
    return row


def row_of(kind: str) -> Architecture:
    refused = ""
    if kind in READS_BOTH_WAYS.split():
        refused = "it reads text from both sides"
    elif kind in HAS_AN_ENCODER.split():
        refused = "it is no decoder of text alone"
    else:
        try:
            with tempfile.TemporaryDirectory() as folder:
                return tried(kind, Path(folder))
        except BadInput as error:
            refused = re.sub(r"^model.id: (this model \(\S+\) )?|; the architecture is not .*", "", str(error))
        except Exception as error:
            refused = f"{NOT_TRIED}: {type(error).__name__}: {one_line(error)[:100]}"
    return Architecture(kind, "", None, None, "", refused)


def main() -> None:
    wanted = sys.argv[1:] or sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
    rows = architectures() if sys.argv[1:] else {}
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    for kind in wanted:
        row = row_of(kind)
        print(*row.cells(), sep=", ", flush=True)
        rows.pop(kind, None)
        if not row.refused.startswith(NOT_TRIED):
            rows[kind] = row
    with TABLE.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Architecture.__slots__)
        writer.writerows(rows[kind].cells() for kind in sorted(rows))


if __name__ == "__main__":
    main()
