"""Every export, read back by the libraries that it is for, gives the run's own greedy text."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from sections import rollout_section

from tina_lite.export.folder import export_adapter, export_merged
from tina_lite.export.gguf import export_gguf
from tina_lite.policy.merge import load_plain, load_with_peft
from tina_lite.policy.model_ref import ModelRef, resolve
from tina_lite.rollout.sampler import Sampler

pytestmark = pytest.mark.slow

PROMPTS, LENGTH = 20, 24
CPU = torch.device("cpu")


@pytest.fixture
def own_run(
    make_run: Callable[..., Any], make_prompts: Callable[..., Any]
) -> tuple[ModelRef, Any, list[Any], list[Any]]:
    """A run, its policy, prompts and the greedy ids of the run's own sampler."""
    run, policy = make_run()
    prompts = make_prompts(policy, PROMPTS)
    sampler = Sampler(policy, rollout_section(0.0, LENGTH), seed=1, kv_tokens=8192)
    return resolve(str(run)), policy, prompts, [g.completions[0].ids for g in sampler.rollout(prompts, 1, 1).groups]


def same_text(model: Any, policy: Any, prompts: list[Any], own: list[Any]) -> int:
    """For how many prompts transformers' generate gives the run's own ids."""
    same = 0
    for prompt, ids in zip(prompts, own, strict=True):
        asked = torch.tensor([prompt.ids])
        out = model.generate(
            asked,
            attention_mask=torch.ones_like(asked),
            do_sample=False,
            max_new_tokens=LENGTH,
            eos_token_id=sorted(policy.stop_ids),
            pad_token_id=0,
        )
        same += tuple(out[0, len(prompt.ids) :].tolist()) == ids
    return same


def test_merged(own_run, tmp_path):
    target, policy, prompts, own = own_run
    found = export_merged(target, policy, tmp_path / "merged")
    assert found.largest_difference < 1e-3
    assert found.same == found.tokens
    assert same_text(load_plain(tmp_path / "merged", torch.float32, CPU), policy, prompts, own) == PROMPTS
    base = load_plain(Path(policy.base_name), torch.float32, CPU)
    assert same_text(base, policy, prompts, own) < PROMPTS, "the adapter makes no difference"


def test_a_merged_folder_is_a_whole_model_that_is_not_in_4_bits(own_run, tmp_path):
    from transformers import AutoTokenizer, GenerationConfig

    target, policy, prompts, _ = own_run
    export_merged(target, policy, tmp_path / "merged")
    config = json.loads((tmp_path / "merged" / "config.json").read_text())
    assert "quantization_config" not in config
    assert config["dtype"] == "float32"
    assert GenerationConfig.from_pretrained(tmp_path / "merged").eos_token_id == 1
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "merged")
    assert tuple(tokenizer.encode(prompts[0].text, add_special_tokens=False)) == prompts[0].ids
    assert "| steps | 3 (max_steps) |" in (tmp_path / "merged" / "README.md").read_text()


def test_what_transformers_4_looks_for_is_there_too(own_run, tmp_path):
    """The names of its fields, as a reader of the files finds them; loading it there was not tried."""
    target, policy, *_ = own_run
    export_merged(target, policy, tmp_path / "merged")
    config = json.loads((tmp_path / "merged" / "config.json").read_text())
    assert (config["rope_theta"], config["torch_dtype"]) == (10000.0, "float32")
    for folder in (tmp_path / "merged", target.adapter):
        tokenizer = json.loads((folder / "tokenizer_config.json").read_text())
        assert tokenizer["tokenizer_class"] == "PreTrainedTokenizerFast"
        assert tokenizer["chat_template"] == policy.tokenizer.chat_template


def test_how_a_run_asked_goes_with_what_it_exports(own_run, tmp_path):
    target, policy, *_ = own_run
    data = target.recipe.data.model_copy(
        update={"system_prompt": "Be brief.", "chat_template_kwargs": {"enable_thinking": False}}
    )
    rollout = target.recipe.rollout.model_copy(update={"stop": ("###",), "temperature": 0.7, "top_p": 0.9})
    target = replace(target, recipe=target.recipe.model_copy(update={"data": data, "rollout": rollout}))
    export_merged(target, policy, tmp_path / "merged")
    export_gguf(target, policy, tmp_path / "gguf", "f16")
    for folder in ("merged", "gguf"):
        card = (tmp_path / folder / "README.md").read_text()
        assert '{"role": "system", "content": "Be brief."}' in card
        assert "add_generation_prompt=True, enable_thinking=False)" in card
        assert "at temperature 0.7 and top_p 0.9, each ended at its end-of-text token, '###'." in card
    kept = json.loads((tmp_path / "merged" / "generation_config.json").read_text())
    assert (kept["do_sample"], kept["temperature"], kept["top_p"], kept["stop_strings"]) == (True, 0.7, 0.9, ["###"])


def test_adapter(own_run, tmp_path):
    target, policy, prompts, own = own_run
    found = export_adapter(target, policy, tmp_path / "copy")
    assert found.same == found.tokens
    model = load_with_peft(target.model, torch.float32, CPU, tmp_path / "copy")
    assert same_text(model, policy, prompts, own) == PROMPTS


@pytest.mark.parametrize(("file_type", "least"), [("f16", 19), ("q8_0", 15)])
def test_gguf(own_run, tmp_path, file_type, least):
    target, policy, prompts, own = own_run
    found = export_gguf(target, policy, tmp_path / "gguf", file_type)
    assert found.same > 0.9 * found.tokens
    model = load_plain(tmp_path / "gguf", torch.float32, CPU, f"quick-{file_type}.gguf")
    assert same_text(model, policy, prompts, own) >= least
