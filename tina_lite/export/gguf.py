"""A GGUF file for llama.cpp and what builds on it: weights, and a byte-level BPE tokenizer as metadata."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tina_lite.export.card import gguf_card
from tina_lite.export.folder import new_folder
from tina_lite.export.likeness import LogitDifference, logit_difference, reference
from tina_lite.policy.model_ref import ModelRef
from tina_lite.policy.shape import ARCHITECTURES, ModelShape
from tina_lite.util.errors import BadInput

if TYPE_CHECKING:
    import torch

    from tina_lite.policy.merge import Weight
    from tina_lite.policy.native import NativePolicy

NORMAL, CONTROL, USER_DEFINED, UNUSED = 1, 3, 4, 5
"""Token types of GGUF (its specification, tokenizer.ggml.token_type)."""

_WORDS_AND_MARKS = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
SPLITS = {
    "qwen2": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + _WORDS_AND_MARKS,
    "llama-bpe": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}" + _WORDS_AND_MARKS,
}
"""How text is cut before merging, by the names that GGUF readers know; gpt-2 and smollm are built of parts."""
PROBE = (
    "I'M sure you'll say: 3.14159, 1000000 or 12x!\n\n\tTabs,   spaces  \r\n and (brackets)...?! "
    "Ça coûte 5€ déjà; 你好 世界 हिन्दी שלום мир 🙂🙂 __init__ a_b -42 +7 <tag> \\boxed{17}\n \n end "
)
"""Pieces of it differ between any two of the ways."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What a GGUF file says of its tokenizer."""

    tokens: list[str]
    types: list[int]
    merges: list[str]
    pre: str
    """The name of the way in which text is cut before merging."""
    special: Mapping[str, int]
    """Ids by role: bos, eos, eot (what else ends a completion), unk, pad."""
    add_bos: bool
    chat_template: str | None


def vocabulary(tokenizer: Any, size: int, stops: Sequence[int]) -> Vocabulary:
    """Read the vocabulary of a fast tokenizer. BadInput where it is no byte-level BPE that GGUF readers know.

    Args:
        size: rows of the embedding; those without a token of their own are called unused.
        stops: what ends a completion, the model's own first; some tokenizers name another token than their model.
    """
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    model = state["model"]
    pre = pre_tokenizer(tokenizer)
    if model.get("type") != "BPE" or pre is None:
        raise BadInput(
            f"gguf: the tokenizer ({model.get('type')}) is no byte-level BPE cut as one of "
            f"{', '.join(sorted(_ways()))}; export with --to merged and convert that with llama.cpp"
        )
    names: dict[int, str] = {id_: token for token, id_ in model["vocab"].items()}
    types = dict.fromkeys(names, NORMAL)
    for token in state["added_tokens"]:
        names[token["id"]] = token["content"]
        types[token["id"]] = CONTROL if token["special"] else USER_DEFINED
    roles = {"bos": tokenizer.bos_token_id, "unk": tokenizer.unk_token_id, "pad": tokenizer.pad_token_id}
    roles |= dict(zip(("eos", "eot"), stops))
    return Vocabulary(
        tokens=[names.get(id_, f"[PAD{id_}]") for id_ in range(size)],
        types=[types.get(id_, UNUSED) for id_ in range(size)],
        merges=[merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]],
        pre=pre,
        special={role: id_ for role, id_ in roles.items() if id_ is not None},
        add_bos=tokenizer.encode("1")[:1] == [tokenizer.bos_token_id],
        chat_template=tokenizer.chat_template if isinstance(tokenizer.chat_template, str) else None,
    )


def pre_tokenizer(tokenizer: Any) -> str | None:
    """The name of the way in which a tokenizer cuts text before merging, by what it does to PROBE; None: of no name."""
    own = tokenizer.backend_tokenizer.pre_tokenizer
    if own is None:
        return None
    pieces = _pieces(own)
    return next((name for name, way in _ways().items() if _pieces(way) == pieces), None)


def _pieces(way: Any) -> list[str]:
    return [piece for piece, _ in way.pre_tokenize_str(PROBE)]


def _ways() -> dict[str, Any]:
    from tokenizers import Regex
    from tokenizers import pre_tokenizers as pre

    ways = {
        "gpt-2": pre.ByteLevel(add_prefix_space=False),
        "smollm": pre.Sequence([pre.Digits(individual_digits=True), pre.ByteLevel(add_prefix_space=False)]),
    }
    for name, pattern in SPLITS.items():
        bytes_alone = pre.ByteLevel(add_prefix_space=False, use_regex=False)
        ways[name] = pre.Sequence([pre.Split(Regex(pattern), "isolated"), bytes_alone])
    return ways


# GGUF, the format of llama.cpp and what builds on it: one file with the merged weights and the tokenizer.
#
# Weights with two dimensions are f16 or q8_0 (blocks of 32 with one f16 scale), norms and biases float32. Names and
# metadata are those that readers of each architecture expect. Readers of "llama" turn neighbouring pairs of a head
# where transformers turns the halves, so that rows of its queries and keys are put in another order; qwen's are not.

FileType = Literal["f16", "q8_0"]
READ_AS = {"llama": "llama", "mistral": "llama", "qwen2": "qwen2", "qwen3": "qwen3"}
"""model_type of transformers to the architecture that GGUF readers know."""
ROPE_FACTORS = "rope_freqs.weight"
Q8_0_BLOCK = 32


def refuse_without_gguf() -> None:
    """BadInput where the package that writes the file is not installed."""
    if find_spec("gguf") is None:
        raise BadInput("export --to gguf: needs the package gguf; pip install 'tina-lite[export]'")


def export_gguf(target: ModelRef, policy: "NativePolicy", out: Path, file_type: FileType) -> LogitDifference:
    """Write NAME-TYPE.gguf and a card to `out`, and say how far the model that transformers reads back is from the run.

    Raises BadInput where `out` exists or the model is of another kind, NoRoom where the disk does not hold it.
    """
    from tina_lite.policy.merge import load_plain, merged_weights, next_logits

    assert target.adapter is not None, "a model without adapter has nothing to merge"
    weights, file = merged_weights(policy.causal_lm), f"{target.name}-{file_type}.gguf"
    refuse_unless_known(policy.causal_lm, target.model_id)
    expected = reference(policy)
    with new_folder(out, weight_bytes(weights, file_type)) as folder:
        write_gguf(folder / file, policy.causal_lm, weights, policy.tokenizer, target.name, file_type)
        card = gguf_card(target.name, target.model_id, file, file_type, target.adapter, target.recipe)
        (folder / "README.md").write_text(card, encoding="utf-8")
    model = load_plain(out, policy.dtype, policy.device, file)
    if rope_factors(policy.causal_lm) is not None:  # llama.cpp reads them, transformers does not
        model.model.rotary_emb.inv_freq = policy.causal_lm.model.rotary_emb.inv_freq
    return logit_difference(expected, lambda ids: next_logits(model, ids))


def refuse_unless_known(causal_lm: Any, name: str) -> ModelShape:
    """BadInput where a model would be written that readers of GGUF compute otherwise."""
    config = causal_lm.config.to_dict()
    if config.get("model_type") not in ARCHITECTURES:
        known = ", ".join(sorted(ARCHITECTURES))
        raise BadInput(f"gguf: {name} is a {config.get('model_type')}, not one of {known}; export with --to merged")
    shape = ModelShape.from_config(config, name)
    biased = shape.out_bias or shape.mlp_bias or (shape.qkv_bias and shape.model_type != "qwen2")
    if not shape.dense or biased:
        what = "biases" if biased else "a sliding window or another activation"
        raise BadInput(f"gguf: {name} has {what}, which is not written here; export with --to merged")
    if causal_lm.model.rotary_emb.attention_scaling != 1.0:
        raise BadInput(f"gguf: {name} scales its attention with its rotary embedding; export with --to merged")
    return shape


def weight_bytes(weights: "Sequence[Weight]", file_type: FileType) -> int:
    """Count the bytes of all tensors in a file."""
    return sum(_tensor_bytes(weight.shape, file_type) for weight in weights)


def write_gguf(
    path: Path, causal_lm: Any, weights: "Sequence[Weight]", tokenizer: Any, name: str, file_type: FileType
) -> None:
    """Write one file, tensor by tensor, so that no second copy of the model is held.

    Args:
        causal_lm: base and adapter, for config and rotary embedding.
        name: for people.
    """
    import gguf
    import torch

    shape = refuse_unless_known(causal_lm, name)
    words = vocabulary(tokenizer, shape.vocabulary, stops(causal_lm, tokenizer))
    writer = gguf.GGUFWriter(path, READ_AS[shape.model_type])
    _describe(writer, causal_lm.config, shape, name, file_type)
    _add_vocabulary(writer, words)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH[READ_AS[shape.model_type].upper()], shape.layers)
    factors = rope_factors(causal_lm)
    if factors is not None:
        writer.add_tensor_info(ROPE_FACTORS, factors.shape, factors.dtype, factors.nbytes)
    for weight in weights:
        known = names.get_name(weight.name, try_suffixes=(".weight", ".bias"))
        if known is None:
            raise BadInput(f"gguf: {name} has a tensor {weight.name} without a name in GGUF; export with --to merged")
        kind = gguf.GGMLQuantizationType[_kind(weight.shape, file_type)]
        floats = "float32"  # of the right rank; `kind` says what is written
        writer.add_tensor_info(known, weight.shape, floats, _tensor_bytes(weight.shape, file_type), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    if factors is not None:
        writer.write_tensor_data(factors)
    for weight in weights:
        tensor = reordered(weight.tensor(torch.float32), weight.name, shape)
        writer.write_tensor_data(
            gguf.quantize(tensor.numpy(), gguf.GGMLQuantizationType[_kind(weight.shape, file_type)])
        )
    writer.close()


def stops(causal_lm: Any, tokenizer: Any) -> list[int]:
    """What ends a completion, the model's own token first."""
    known = causal_lm.generation_config.eos_token_id
    ids = [*(known if isinstance(known, list) else [known]), tokenizer.eos_token_id]
    return list(dict.fromkeys(id_ for id_ in ids if id_ is not None))


def reordered(tensor: "torch.Tensor", name: str, shape: ModelShape) -> "torch.Tensor":
    """Rows of llama's queries and keys in the order of its GGUF readers: (i, i + d/2) of a head become (2i, 2i + 1)."""
    heads = {"q_proj": shape.heads, "k_proj": shape.kv_heads}.get(name.split(".")[-2])
    if heads is None or READ_AS[shape.model_type] != "llama":
        return tensor
    in_pairs: torch.Tensor = tensor.unflatten(0, (heads, 2, -1)).transpose(1, 2).flatten(0, 2)
    return in_pairs.contiguous()


def rope_factors(causal_lm: Any) -> Any:
    """(d/2,) float32: what each frequency of the rotary embedding is divided by; None where by nothing.

    Llama 3 stretches its slow frequencies; readers of GGUF are told the outcome and not the rule.
    """
    import torch

    frequencies = causal_lm.model.rotary_emb.inv_freq.float().cpu()
    plain = theta(causal_lm.config) ** (-torch.arange(len(frequencies)) / len(frequencies))
    factors = plain / frequencies
    return None if torch.allclose(factors, torch.ones_like(factors), rtol=1e-4) else factors.numpy()


def theta(config: Any) -> float:
    """Give the base of the rotary embedding's frequencies."""
    return float(config.rope_parameters["rope_theta"])


def _kind(shape: Sequence[int], file_type: FileType) -> str:
    """The type of a tensor: what has one dimension is small, and matters."""
    if len(shape) == 1:
        return "F32"
    return "Q8_0" if file_type == "q8_0" and shape[-1] % Q8_0_BLOCK == 0 else "F16"


def _tensor_bytes(shape: Sequence[int], file_type: FileType) -> int:
    kind, elements = _kind(shape, file_type), prod(shape)
    return elements // Q8_0_BLOCK * (Q8_0_BLOCK + 2) if kind == "Q8_0" else elements * (4 if kind == "F32" else 2)


def _describe(writer: Any, config: Any, shape: ModelShape, name: str, file_type: FileType) -> None:
    import gguf

    types = {"f16": gguf.LlamaFileType.MOSTLY_F16, "q8_0": gguf.LlamaFileType.MOSTLY_Q8_0}
    writer.add_name(name)
    writer.add_file_type(types[file_type])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_vocab_size(shape.vocabulary)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(shape.hidden)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.intermediate)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head_dim)
    writer.add_value_length(shape.head_dim)
    writer.add_rope_dimension_count(shape.head_dim)
    writer.add_rope_freq_base(theta(config))
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)


def _add_vocabulary(writer: Any, words: Vocabulary) -> None:
    writer.add_tokenizer_model("gpt2")  # byte-level BPE
    writer.add_tokenizer_pre(words.pre)
    writer.add_token_list(words.tokens)
    writer.add_token_types(words.types)
    writer.add_token_merges(words.merges)
    for role, id_ in words.special.items():
        getattr(writer, f"add_{role}_token_id")(id_)
    writer.add_add_bos_token(words.add_bos)
    if words.chat_template is not None:
        writer.add_chat_template(words.chat_template)
