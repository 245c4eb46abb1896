"""Models, adapters and templates as people have them: opened as their makers meant, or refused by name."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from model_files import change_json
from whole_runs import adapter as adapter_of

import tina_lite
from tina_lite import load_recipe, run
from tina_lite.data.chat_template import template_notes
from tina_lite.policy.load import load_model
from tina_lite.policy.model_folder import read_shape
from tina_lite.policy.model_ref import resolve
from tina_lite.policy.pretrained import load_base, load_tokenizer, skeleton
from tina_lite.policy.shape import ModelShape
from tina_lite.recipe.schema import ModelSection
from tina_lite.util.errors import BadInput
from tina_lite.util.records import Problem

BASE = Path(tina_lite.__file__).parent / "base"


@pytest.fixture
def model(tmp_path) -> Path:
    """A copy of the shipped base, to be changed."""
    return Path(shutil.copytree(BASE, tmp_path / "model"))


@pytest.fixture
def saved(make_policy, tmp_path) -> Path:
    """An adapter, to be changed."""
    make_policy(spread=0.05).save_adapter(tmp_path / "mine")
    return tmp_path / "mine"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("init_lora_weights", start) for start in ("pissa", "pissa_niter_16", "olora", "loftq", "corda", "eva")),
        ("alora_invocation_tokens", [5, 6]),
        ("use_dora", True),
        ("use_rslora", True),
        ("rank_pattern", {"q_proj": 4}),
        ("modules_to_save", ["lm_head"]),
        ("lora_bias", True),
        ("exclude_modules", ["q_proj"]),
        ("trainable_token_indices", [1]),
        ("bias", "all"),
    ],
)
def test_an_adapter_that_is_another_function_is_refused_by_name(saved, field, value):
    change_json(saved / "adapter_config.json", **{field: value})
    said = f"init_lora_weights: {value}" if field == "init_lora_weights" else field
    with pytest.raises(BadInput, match=rf"{said} is not supported; merge the adapter with peft first"):
        load_model(resolve(str(saved)))


@pytest.mark.parametrize("start", [True, False, "gaussian", "orthogonal"])
def test_how_a_plain_one_began_does_not_matter(saved, start):
    change_json(saved / "adapter_config.json", init_lora_weights=start)
    load_model(resolve(str(saved)))


def test_an_adapter_whose_layers_are_a_pattern(saved, make_policy):
    """As peft saves one that was made with a regular expression."""
    names = json.loads((saved / "adapter_config.json").read_text())["target_modules"]
    change_json(saved / "adapter_config.json", target_modules=rf".*\.(self_attn|mlp)\.({'|'.join(names)})")
    ids = torch.tensor([[5, 6, 7, 8]])
    opened, theirs = load_model(resolve(str(saved))), make_policy(spread=0.05)
    assert {name: tensor.shape for name, tensor in opened.trainable().items()} == {
        name: tensor.shape for name, tensor in theirs.trainable().items()
    }
    assert opened.causal_lm(input_ids=ids).logits.isfinite().all()


def test_a_pattern_among_the_target_modules_is_one(quick_recipe, tmp_path):
    changes = {"lora.target_modules": [r".*layers\.0\.self_attn\.[qv]_proj"], "stop.max_steps": 1}
    run(load_recipe(quick_recipe, changes), out=tmp_path / "out")
    names = {name.split(".lora_")[0].removeprefix("base_model.model.") for name in adapter_of(tmp_path / "out")}
    assert names == {f"model.layers.0.self_attn.{one}_proj" for one in "qv"}
    with pytest.raises(BadInput, match=r"lora\.target_modules: .*z_proj fit no layer of this model"):
        run(load_recipe(quick_recipe, {**changes, "lora.target_modules": [r".*z_proj"]}), out=tmp_path / "other")
    shape: ModelShape = read_shape("builtin:tiny")
    assert shape.lora_parameters(8, [r".*self_attn\.[qv]_proj"]) == shape.lora_parameters(8, ["q_proj", "v_proj"])


@pytest.mark.parametrize(
    ("kept", "asked", "said"),
    [
        ({"load_in_4bit": True, "bnb_4bit_quant_type": "fp4"}, "nf4", r"are in FP4; choose the model without"),
        ({"load_in_8bit": True}, "nf4", r"are in 8 bits; choose the model without"),
        ({"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}, "none", r"in NF4 already; set model\.quantization=nf4"),
    ],
)
def test_weights_in_another_form_are_refused_before_a_folder_is_made(quick_recipe, tmp_path, model, kept, asked, said):
    change_json(model / "config.json", quantization_config={"quant_method": "bitsandbytes", **kept})
    changes = {"model.id": str(model), "model.quantization": asked}
    with pytest.raises(BadInput, match=said):
        run(load_recipe(quick_recipe, changes), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(BadInput, match=said):
        load_base(ModelSection(id=str(model), quantization=asked), torch.float32, torch.device("cpu"))


@pytest.mark.parametrize("kind", ["qwen2_5_vl", "qwen3_vl", "mistral3"])
def test_a_model_that_reads_pictures_is_called_one(model, kind):
    (model / "config.json").write_text(json.dumps({"model_type": kind}))
    with pytest.raises(BadInput, match=rf"is a {kind}, which reads pictures too; choose a model for text alone$"):
        skeleton(str(model))


def test_a_template_in_chat_template_json(model):
    text = (model / "chat_template.jinja").read_text()
    (model / "chat_template.jinja").unlink()
    problem = Problem(0, "1+1?", "2", {})
    bare = load_tokenizer(str(model))
    assert bare.chat_template is None
    (note,) = template_notes([problem], bare, None)
    assert note == "the tokenizer has no chat template: prompts are plain text, a paragraph a message"
    (model / "chat_template.json").write_text(json.dumps({"chat_template": text}))
    assert load_tokenizer(str(model)).chat_template == text


def test_thinking_that_is_switched_off_and_rewarded_is_said(quick_recipe, tina, tmp_path, monkeypatch, model):
    monkeypatch.chdir(tmp_path)
    with (model / "chat_template.jinja").open("a") as template:
        template.write("{% if enable_thinking %}{% endif %}")
    settings = ("model.id=./model", "data.chat_template_kwargs={enable_thinking: false}")
    words = [word for one in settings for word in ("--set", one)]
    said = "enable_thinking: false asks for answers without thinking"
    assert said in tina("run", "quick.yaml", *words, "--dry-run", "--set", "rewards=[accuracy, format]").out
    other = "rewards=[accuracy, {name: format, variant: boxed}]"
    assert said not in tina("run", "quick.yaml", *words, "--dry-run", "--set", other).out
