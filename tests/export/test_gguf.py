"""GGUF: names, order of rows, metadata and tokenizer are those that its readers expect, for each architecture."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from model_files import SMALL, random_model

from tina_lite.export.gguf import (
    CONTROL,
    NORMAL,
    READ_AS,
    UNUSED,
    USER_DEFINED,
    export_gguf,
    pre_tokenizer,
    refuse_unless_known,
    rope_factors,
    vocabulary,
)
from tina_lite.policy.model_ref import resolve
from tina_lite.policy.pretrained import load_tokenizer
from tina_lite.util.errors import BadInput

SIZES = {**SMALL, "vocab_size": 448, "num_key_value_heads": 2, "eos_token_id": 1, "bos_token_id": None}
OTHERS = {"mistral": {"sliding_window": None}, "qwen3": {"head_dim": 128}}  # which transformers takes for granted
STRETCHED = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}


@pytest.fixture
def make_model(tmp_path: Path) -> Callable[..., str]:
    """A model folder with random weights, norms and biases included, and the tiny base's tokenizer."""

    def make(model_type: str, **changes: Any) -> str:
        folder = tmp_path / "base"
        random_model(folder, model_type, noise=0.2, **{**SIZES, **OTHERS.get(model_type, {}), **changes})
        load_tokenizer("builtin:tiny").save_pretrained(folder)
        return str(folder)

    return make


@pytest.mark.parametrize("file_type", ["f16", "q8_0"])
@pytest.mark.parametrize(
    ("model_type", "changes"),
    [*((name, {}) for name in sorted(READ_AS)), ("llama", {"tie_word_embeddings": True, "rope_parameters": STRETCHED})],
)
def test_what_is_read_back_computes_what_the_run_computes(
    make_model, make_run, tmp_path, model_type, changes, file_type
):
    run, policy = make_run(make_model(model_type, **changes))
    found = export_gguf(resolve(str(run)), policy, tmp_path / "out", file_type)
    assert found.largest_difference < (0.01 if file_type == "f16" else 0.2)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["README.md", f"quick-{file_type}.gguf"]


def test_the_metadata_is_that_of_the_config(make_model, make_run, tmp_path):
    import gguf

    run, policy = make_run(make_model("qwen3"))
    export_gguf(resolve(str(run)), policy, tmp_path / "out", "f16")
    reader = gguf.GGUFReader(tmp_path / "out" / "quick-f16.gguf")
    fields = {name: field.contents() for name, field in reader.fields.items()}
    assert fields["general.architecture"] == "qwen3"
    assert fields["qwen3.attention.head_count_kv"] == 2
    assert fields["qwen3.attention.key_length"] == 128
    assert fields["qwen3.context_length"] == 256
    assert fields["tokenizer.ggml.pre"] == "smollm"
    assert fields["tokenizer.ggml.eos_token_id"] == 1
    assert fields["tokenizer.ggml.add_bos_token"] is False
    assert fields["tokenizer.chat_template"] == policy.tokenizer.chat_template
    types = {tensor.name: tensor.tensor_type.name for tensor in reader.tensors}
    assert (types["blk.1.attn_q.weight"], types["blk.1.attn_q_norm.weight"]) == ("F16", "F32")
    assert "output.weight" in types


def test_llama_3_stretches_its_slow_frequencies_alone(make_model, make_policy):
    policy = make_policy(model_id=make_model("llama", rope_parameters=STRETCHED))
    factors = rope_factors(policy.causal_lm)
    assert factors.shape == (8,)
    assert factors[0] == pytest.approx(1.0)
    assert factors[-1] == pytest.approx(8.0)
    assert rope_factors(make_policy().causal_lm) is None


@pytest.mark.parametrize(
    ("model_type", "changes", "said"),
    [
        ("llama", {"attention_bias": True}, "has biases"),
        ("mistral", {"sliding_window": 64}, "a sliding window"),
        ("gemma", {"head_dim": 16}, "not one of llama, mistral, qwen2, qwen3"),
    ],
)
def test_a_model_that_readers_would_compute_otherwise_is_refused(make_model, make_policy, model_type, changes, said):
    policy = make_policy(model_id=make_model(model_type, **changes))
    with pytest.raises(BadInput, match=said):
        refuse_unless_known(policy.causal_lm, "mine")


def test_the_tokenizer_made_of_the_metadata_alone_cuts_text_in_the_same_way():
    from tokenizers import AddedToken, Tokenizer
    from tokenizers.models import BPE

    from tina_lite.export.gguf import _ways

    own = load_tokenizer("builtin:tiny")
    words = vocabulary(own, 460, [1])
    ids = {token: id_ for id_, token in enumerate(words.tokens) if words.types[id_] in (NORMAL, CONTROL)}
    rebuilt = Tokenizer(BPE(ids, [tuple(merge.split(" ")) for merge in words.merges]))
    rebuilt.pre_tokenizer = _ways()[words.pre]
    special = [token for token, kind in zip(words.tokens, words.types) if kind in (CONTROL, USER_DEFINED)]
    rebuilt.add_tokens([AddedToken(token, normalized=False) for token in special if token in ids])
    for text in ("<|user|>What is 17 + 25?<|assistant|>", "Sam has 120 pens.\n\nSam sells -9!  How many now?"):
        assert rebuilt.encode(text).ids == own.encode(text, add_special_tokens=False)


def test_every_row_of_the_embedding_has_a_token_of_some_kind():
    words = vocabulary(load_tokenizer("builtin:tiny"), 460, [1, 0])
    assert len(words.tokens) == len(words.types) == len(set(words.tokens)) == 460
    assert words.types[1] == CONTROL
    assert words.tokens[395:398] == ["<think>", "</think>", "\\boxed{"]
    assert set(words.types[395:398]) == {USER_DEFINED}
    assert (words.tokens[459], words.types[459]) == ("[PAD459]", UNUSED)
    assert (words.special["eos"], words.special["eot"]) == (1, 0)


def test_a_tokenizer_of_another_kind_is_refused(make_spaced):
    assert pre_tokenizer(make_spaced) is None
    with pytest.raises(BadInput, match="is no byte-level BPE"):
        vocabulary(make_spaced, 10, [0])


@pytest.fixture
def make_spaced() -> Any:
    """A tokenizer that splits on white space alone."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(WordLevel({"a": 0, "[UNK]": 1}, "[UNK]"))
    backend.pre_tokenizer = Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]")
