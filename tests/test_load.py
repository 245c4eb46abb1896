"""A run, an adapter and a model are told apart by their files, and open as the policy that they were saved from."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from sections import rollout_section

from tina_lite.policy.load import load_model
from tina_lite.policy.model_ref import resolve
from tina_lite.recipe import load_recipe, to_yaml
from tina_lite.rollout.sampler import Sampler
from tina_lite.util.errors import BadInput

GOOD = {"r": 8, "lora_alpha": 32, "target_modules": ["q_proj"], "base_model_name_or_path": "builtin:tiny"}


def write_adapter(folder: Path, **changes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps({**GOOD, **changes}))
    return folder


@pytest.fixture
def run_folder(tmp_path, quick_recipe):
    run = tmp_path / "runs" / "quick-2"
    write_adapter(run / "adapter")
    (run / "recipe.yaml").write_text(to_yaml(load_recipe(quick_recipe)))
    return run


def test_a_run_has_the_base_and_the_quantization_of_its_recipe(run_folder):
    target = resolve(str(run_folder))
    assert (target.name, target.model_id, target.quantization) == ("quick-2", "builtin:tiny", "nf4")
    assert (target.adapter, target.run, target.compute_dtype) == (run_folder / "adapter", run_folder, "float32")
    assert target.recipe is not None
    assert target.recipe.rollout.max_completion_length == 24


def test_an_adapter_inside_a_run_is_that_run(run_folder):
    assert resolve(str(run_folder / "adapter")) == resolve(str(run_folder))
    write_adapter(run_folder / "adapter-best")
    assert resolve(str(run_folder / "adapter-best")).name == "quick-2-adapter-best"


def test_an_adapter_on_its_own_is_laid_on_nf4_and_a_model_is_taken_as_it_is(tmp_path):
    lone = resolve(str(write_adapter(tmp_path / "mine")))
    assert (lone.name, lone.model_id, lone.quantization, lone.run) == ("mine", "builtin:tiny", "nf4", None)
    assert resolve("builtin:tiny").quantization == "none"
    assert resolve("builtin:tiny", "nf4").quantization == "nf4"
    assert resolve("Qwen/Qwen2.5-1.5B-Instruct").name == "Qwen2.5-1.5B-Instruct"


def test_the_base_of_a_run_is_loaded_as_the_run_loaded_it(run_folder):
    base = resolve(str(run_folder)).base
    assert (base.name, base.adapter, base.quantization) == ("builtin-tiny", None, "nf4")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("./nowhere", "no such folder"),
        ("no such thing", "no such folder, and no hub id"),
        (".", "holds neither recipe.yaml"),
    ],
)
def test_what_cannot_be_opened_is_one_clear_line(tmp_path, monkeypatch, name, said):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match=said) as caught:
        resolve(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"use_dora": True}, "use_dora is not supported"),
        ({"bias": "all"}, "bias is not supported"),
        ({"r": 0}, "not that of a plain LoRA adapter"),
        ({"target_modules": 5}, "not that of a plain LoRA adapter"),
        ({"r": None}, "cannot be read as the config of a LoRA adapter"),
        ({"base_model_name_or_path": None}, "does not name its base"),
        ({"base_model_name_or_path": "/nowhere/base"}, "its base /nowhere/base is not here"),
    ],
)
def test_an_adapter_of_another_kind_is_refused_by_name(tmp_path, changes, said):
    with pytest.raises(BadInput, match=said):
        resolve(str(write_adapter(tmp_path / "mine", **changes)))


def test_a_run_without_an_adapter_says_so(run_folder):
    (run_folder / "adapter" / "adapter_config.json").unlink()
    with pytest.raises(BadInput, match="has no adapter yet"):
        resolve(str(run_folder))


def opened_in_float32(name, quantization=None):
    return load_model(replace(resolve(name, quantization), compute_dtype="float32"))


def greedy(policy, prompts):
    sampler = Sampler(policy, rollout_section(0.0, 24), seed=1, kv_tokens=4096)
    return [group.completions[0].ids for group in sampler.rollout(prompts, 1, 1).groups]


def test_a_saved_adapter_opens_as_the_policy_that_saved_it(make_policy, make_prompts, tmp_path):
    policy = make_policy(spread=0.05)
    policy.save_adapter(tmp_path / "mine")
    opened = opened_in_float32(str(tmp_path / "mine"))
    prompts = make_prompts(policy, 8)
    assert greedy(opened, prompts) == greedy(policy, prompts)
    saved, loaded = policy.trainable(), opened.trainable()
    assert all(saved[name].equal(loaded[name]) and saved[name].dtype == loaded[name].dtype for name in saved)


def test_a_model_opens_as_the_base_alone(make_policy, make_prompts):
    moved, base = make_policy(spread=0.2), make_policy()
    alone = opened_in_float32("builtin:tiny", "nf4")
    prompts = make_prompts(base, 8)
    assert greedy(alone, prompts) == greedy(base, prompts)
    assert greedy(alone, prompts) != greedy(moved, prompts), "the adapter makes no difference"
    assert alone.trainable() == {}


def test_an_adapter_that_does_not_fit_its_base_is_refused(make_policy, tmp_path):
    make_policy().save_adapter(tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    (tmp_path / "adapter_config.json").write_text(json.dumps({**config, "r": 4}))
    with pytest.raises(BadInput, match="does not fit the base"):
        load_model(resolve(str(tmp_path)))
    (tmp_path / "adapter_model.safetensors").write_bytes(b"torn")
    with pytest.raises(BadInput, match="cannot be read"):
        load_model(resolve(str(tmp_path)))
