"""A byte-level BPE tokenizer as the metadata of a GGUF file: tokens, merges, special tokens, chat template."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tina_lite.errors import BadInput

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
    """Of a fast tokenizer of transformers. BadInput where it is no byte-level BPE that GGUF readers know.

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
