"""Model folders that are damaged, or do not fit their tokenizer or the recipe: one line, and nothing left behind."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from model_files import change_json, change_tensors, random_model

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
Spoil = Callable[[Path], Any]


def cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


def weights(spoil: Spoil) -> Spoil:
    return lambda folder: spoil(folder / "model.safetensors")


def sharded(folder: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="200KB")


def without_a_shard(folder: Path) -> None:
    sharded(folder)
    next(iter(sorted(folder.glob("model-00002*")))).unlink()


def without_the_index_s_map(folder: Path) -> None:
    sharded(folder)
    (folder / "model.safetensors.index.json").write_text("{}")


def adapter_beside(folder: Path) -> None:
    (folder / "adapter_config.json").write_text(json.dumps({"r": 4, "base_model_name_or_path": "x"}))


def adapter_alone(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"r": 4, "base_model_name_or_path": "some/base"}))


def template(text: str) -> Spoil:
    return lambda folder: (folder / "chat_template.jinja").write_text(text)


def config(**changes: Any) -> Spoil:
    return lambda folder: change_json(folder / "config.json", **changes)


def nameless_end(folder: Path) -> None:
    change_json(folder / "config.json", eos_token_id=None)
    change_json(folder / "tokenizer_config.json", eos_token=None)
    (folder / "generation_config.json").unlink(missing_ok=True)


NARROW = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4}
GPT2 = {
    "vocab_size": 448,
    "n_embd": 64,
    "n_layer": 1,
    "n_head": 4,
    "n_positions": 64,
    "bos_token_id": 1,
    "eos_token_id": 1,
}
SPOILT: dict[str, tuple[Spoil, str]] = {
    "weights are an LFS pointer": (
        weights(lambda path: path.write_text(POINTER)),
        r"mymodel/model\.safetensors is a pointer of Git LFS .* git lfs pull",
    ),
    "weights are empty": (weights(lambda path: path.write_bytes(b"")), r"model\.safetensors is empty; copy"),
    "weights are cut": (weights(lambda path: cut(path, 100_000)), r"model\.safetensors is cut: it has 100,000 of"),
    "weights are cut in the header": (weights(lambda path: cut(path, 100)), r"model\.safetensors is damaged .*; copy"),
    "weights are shorter than a length": (weights(lambda path: cut(path, 5)), r"model\.safetensors is damaged"),
    "weights are HTML": (weights(lambda path: path.write_text("<html>404</html>")), r"safetensors is damaged"),
    "weights are too long": (
        weights(lambda path: path.write_bytes(path.read_bytes() + b"x" * 10)),
        r"model\.safetensors is cut",
    ),
    "weights are not there": (weights(Path.unlink), r"mymodel holds no weights .*; copy the whole model folder"),
    "weights lead nowhere": (
        weights(lambda path: (path.unlink(), path.symlink_to("../blobs/gone"))),
        r"model\.safetensors: cannot be read .*; put the file there",
    ),
    "weights are a pickle of nothing": (
        lambda folder: ((folder / "model.safetensors").unlink(), (folder / "pytorch_model.bin").write_bytes(b"x" * 99)),
        r"cannot load .*mymodel.*; copy the whole folder again",
    ),
    "a shard is not there": (without_a_shard, r"model-00002-of-.* of \d+ shards is missing; copy"),
    "the index says nothing": (without_the_index_s_map, r"index\.json does not say where the weights are"),
    "the head is not there": (
        lambda folder: change_tensors(folder, lambda tensors: tensors.pop("lm_head.weight")),
        r"1 of its tensors are not among the weights, such as lm_head\.weight; copy",
    ),
    "a layer's projection is not there": (
        lambda folder: change_tensors(folder, lambda tensors: tensors.pop("model.layers.1.mlp.down_proj.weight")),
        r"such as model\.layers\.1\.mlp\.down_proj\.weight",
    ),
    "a tensor is left over": (
        lambda folder: change_tensors(folder, lambda tensors: tensors.update(extra=tensors["model.norm.weight"])),
        r"its weights hold 1 tensors that its config\.json has no place for, such as extra",
    ),
    "config has fewer layers": (config(num_hidden_layers=1), r"hold 9 tensors .* such as model\.layers\.1"),
    "config has more layers": (config(num_hidden_layers=3), r"9 of its tensors are not among the weights"),
    "config has another width": (config(hidden_size=96), r"have another shape than config\.json says"),
    "config has an impossible width": (config(hidden_size=-4), r"model\.id: cannot load .*mymodel"),
    "config has no heads": (config(num_attention_heads=0), r"model\.id: cannot load .*mymodel"),
    "config is of an unknown type": (config(model_type="nobodys"), r"model\.id: cannot load .*nobodys"),
    "config has no type": (config(model_type=None), r"model\.id: cannot load .*mymodel"),
    "config brings code": (
        config(model_type="nobodys", auto_map={"AutoConfig": "c.C", "AutoModelForCausalLM": "m.M"}),
        r"brings Python of its own, which is never run; choose a model that transformers knows",
    ),
    "the tokenizer brings code": (
        lambda folder: change_json(
            folder / "tokenizer_config.json",
            tokenizer_class="Mine",
            auto_map={"AutoTokenizer": ["t.Mine", None]},
        ),
        r"brings Python of its own, which is never run",
    ),
    "config is an LFS pointer": (
        lambda folder: (folder / "config.json").write_text(POINTER),
        r"config\.json is a pointer of Git LFS .* git lfs pull",
    ),
    "config is empty": (lambda folder: (folder / "config.json").write_text(""), r"config\.json is empty; copy"),
    "config is cut": (lambda folder: cut(folder / "config.json", 40), r"config\.json is damaged \(not JSON\); copy"),
    "config is a word": (lambda folder: (folder / "config.json").write_text('"llama"'), r"config\.json is damaged"),
    "config is not there": (
        lambda folder: (folder / "config.json").unlink(),
        r"mymodel is not a model folder \(no config\.json there\)",
    ),
    "config is quantised otherwise": (
        config(quantization_config={"quant_method": "awq", "bits": 4}),
        r"mymodel is quantised already \(awq\); choose the model without",
    ),
    "config is of an encoder": (config(model_type="bert"), r"model\.id: .*mymodel"),
    "an adapter": (adapter_alone, r"mymodel is an adapter of some/base; give its base"),
    "an adapter lies beside": (
        adapter_beside,
        r"adapter_config\.json: an adapter lies in the model's folder.*merge it",
    ),
    "a layer is NaN": (
        lambda folder: change_tensors(
            folder, lambda tensors: tensors["model.layers.1.mlp.down_proj.weight"].fill_(math.nan)
        ),
        r"logits are not finite.*copy or download it again",
    ),
    "a norm is infinite": (
        lambda folder: change_tensors(folder, lambda tensors: tensors["model.norm.weight"].fill_(math.inf)),
        r"logits are not finite",
    ),
    "the embedding is smaller than the tokenizer": (
        lambda folder: random_model(folder, "llama", vocab_size=390, **NARROW),
        r"has ids up to \d+, its embedding 390 rows; take the tokenizer that belongs to the model",
    ),
    "nothing ends a text": (nameless_end, r"mymodel names no end-of-text token, .* eos_token .* rollout\.stop"),
    "the chat template is empty": (template(""), r"the prompt is empty after the chat template; mend"),
    "the chat template drops the question": (template("<|user|>Hi<|assistant|>"), r"leaves the question out"),
    "the chat template ends the text": (
        template("{% for m in messages %}<|user|>{{ m.content }}<|end|>{% endfor %}"),
        r"ends the prompt with the end-of-text token.* add_generation_prompt",
    ),
    "the chat template is broken": (
        template("{% for m in messages %}{{ m.content"),
        r"chat template refuses the prompt",
    ),
    "the chat template complains": (
        template("{{ raise_exception('only on Sundays') }}"),
        r"chat template refuses the prompt: only on Sundays",
    ),
    "the tokenizer is not there": (
        lambda folder: [path.unlink() for path in folder.glob("tokenizer*")],
        r"model\.id: cannot load .*mymodel",
    ),
    "the tokenizer is cut": (lambda folder: cut(folder / "tokenizer.json", 500), r"tokenizer\.json is damaged"),
    "the tokenizer is an LFS pointer": (
        lambda folder: (folder / "tokenizer.json").write_text(POINTER),
        r"tokenizer\.json is a pointer of Git LFS",
    ),
    "the tokenizer is another thing": (
        lambda folder: (folder / "tokenizer.json").write_text('{"a": 1}'),
        r"model\.id: cannot load .*mymodel",
    ),
}


@pytest.mark.parametrize("case", SPOILT)
def test_a_spoilt_model_is_refused_in_a_line_that_says_what_to_do(
    model: Path, refused: Callable[..., str], matches: Callable[[str, str], None], case: str
) -> None:
    spoil, wanted = SPOILT[case]
    spoil(model)
    matches(refused(), wanted)


ASKED: dict[str, tuple[list[str], str]] = {
    "no layer of that name": (["lora.target_modules=[c_attn]"], r"lora\.target_modules: c_attn fit no layer.*q_proj"),
    "one of the names is misspelt": (
        ["lora.target_modules=[q_proj, v_prj, gate_porj]"],
        r"v_prj, gate_porj fit no layer of this model \(llama\); it has",
    ),
    "the head": (["lora.target_modules=[q_proj, lm_head]"], r"lm_head cannot be trained"),
    "the embedding": (["lora.target_modules=[embed_tokens]"], r"embed_tokens cannot be trained"),
    "nothing to train": (["lora.target_modules=[]"], r"lora\.target_modules: got \[\]; needs .* at least 1"),
    "float16": (["model.compute_dtype=float16"], r"float16 is for a card; on a CPU choose auto, float32 or bfloat16"),
    "float8": (["model.compute_dtype=float8"], r"compute_dtype: got 'float8'; allowed: 'auto', 'float32'"),
    "an unknown switch of the template": (
        ["data.chat_template_kwargs={enable_thinkng: false}"],
        r"data\.chat_template_kwargs: the chat template of .*mymodel knows no enable_thinkng",
    ),
    "a file for a folder": (["model.id=./mymodel/model.safetensors"], r"is not a model folder"),
    "a folder that is none": (["model.id=./nowhere"], r"\./nowhere is not a model folder"),
    "prompts that are all too long": (["rollout.max_prompt_length=3"], r"all \d+ prompts are longer than"),
}


@pytest.mark.parametrize("case", ASKED)
def test_what_a_good_model_cannot_do(
    model: Path, refused: Callable[..., str], matches: Callable[[str, str], None], case: str
) -> None:
    changes, wanted = ASKED[case]
    matches(refused(*changes), wanted)


def test_learned_positions_that_do_not_suffice(
    model: Path, refused: Callable[..., str], matches: Callable[[str, str], None]
) -> None:
    random_model(model, "gpt2", **GPT2)
    wanted = r"knows 64 positions; let rollout\.max_prompt_length and .* add up to no more, they are 72"
    matches(refused("lora.target_modules=[c_attn]"), wanted)


def test_a_template_that_drops_the_system_prompt_is_told_apart(
    model: Path, refused: Callable[..., str], matches: Callable[[str, str], None]
) -> None:
    (model / "chat_template.jinja").write_text("<|user|>{{ messages[-1].content }}<|assistant|>")
    matches(refused("data.system_prompt=Be brief."), r"data\.system_prompt: the chat template leaves it out")
