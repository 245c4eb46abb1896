"""The table of architectures: what makes it can fail, hybrids are in it, and others are refused in a line."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from model_files import change_json, random_model

import tina_lite
from tina_lite import load_recipe, run
from tina_lite.launch.preview import dry_run
from tina_lite.policy import pretrained
from tina_lite.policy.hf_decoder import CachedDecoder, LayerState
from tina_lite.policy.self_check import LONGEST_PROMPT, PROMPT, _prompt_length
from tina_lite.policy.shape import architectures, refuse_architecture
from tina_lite.recipe.schema import ModelSection
from tina_lite.util.errors import BadInput

ROOT = Path(__file__).parents[2]


@pytest.fixture
def models(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    import models

    return models


# Each is loaded, trained and sampled by two engines: some seconds.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "kind", ["gemma2", "phi", "lfm2", "qwen3_5_text", "granitemoehybrid", "falcon_h1", "qwen3_next"]
)
def test_an_architecture_is_computed_as_transformers_and_peft_do(models, kind, tmp_path):
    """Soft caps; dropout in the base; layers with a state in place of keys and values."""
    assert models.tried(kind, tmp_path).refused == ""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_table_shows_what_is_wrong(models, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "attention_of", lambda config: "sdpa")
    monkeypatch.setattr("tina_lite.policy.native.refuse_disagreement", lambda *_: None)
    row = models.tried("gemma2", tmp_path)
    assert row.log_prob > models.LOG_PROB
    assert row.refused


def test_soft_caps_that_an_attention_leaves_out_are_seen_on_loading(make_policy, tmp_path, monkeypatch):
    folder = random_model(
        tmp_path, "gemma2", gain=4, vocab_size=384, hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, head_dim=16, attn_logit_softcapping=1.0, query_pre_attn_scalar=1,
    )  # fmt: skip
    make_policy(model_id=folder, quantization="none")
    monkeypatch.setattr(pretrained, "attention_of", lambda config: "sdpa")
    with pytest.raises(
        BadInput, match=r"\(gemma2\) has log-probs in the learner .* not supported, choose another model"
    ):
        make_policy(model_id=folder, quantization="none")


def test_the_table_covers_what_people_train():
    known = architectures()
    accepted = {kind for kind, row in known.items() if not row.refused}
    assert len(accepted) >= 90
    assert {"llama", "qwen2", "qwen3", "qwen3_5_text", "lfm2", "gemma3_text", "smollm3", "granitemoehybrid"} <= accepted
    for row in known.values():
        right = row.greedy == "8/8" and row.log_prob <= 1e-4 and row.gradient <= 1e-3
        assert bool(row.refused) != right, row
    with pytest.raises(BadInput, match=r"^model.id: rwkv is not supported: .*; choose another model$"):
        refuse_architecture("rwkv")
    refuse_architecture("one_of_next_year")


def test_what_cannot_be_sampled_is_refused_by_dry_run_and_run(quick_recipe, tmp_path):
    model = shutil.copytree(Path(tina_lite.__file__).parent / "base", tmp_path / "model")
    (model / "model.safetensors").unlink()
    sizes = {"hidden_size": 64, "attention_hidden_size": 64, "num_hidden_layers": 2, "vocab_size": 384}
    (model / "config.json").write_text(json.dumps({}))
    random_model(model, "rwkv", **sizes)
    recipe = load_recipe(quick_recipe, {"model.id": str(model), "lora.target_modules": ["key"]})
    for start in (dry_run, run):
        with pytest.raises(BadInput, match="rwkv"):
            start(recipe, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("window", "max_tokens", "length"),
    [(None, 0, PROMPT), (64, 0, PROMPT), (64, 60, PROMPT), (64, 100, 70), (4096, 9000, LONGEST_PROMPT)],
)
def test_the_text_of_the_check_fills_a_window_that_the_run_would(window, max_tokens, length):
    from types import SimpleNamespace

    assert _prompt_length(SimpleNamespace(sliding_window=window), max_tokens) == length


def test_states_are_joined_and_taken_by_rows():
    def state(rows, columns, value):
        keys = torch.full((rows, 1, columns, 2), value)
        return LayerState((keys, keys), ((torch.full((rows, 3), value), None),))

    joined = LayerState.join([state(2, 3, 1.0), state(1, 5, 2.0)], 5)
    assert joined.by_token[0][:, 0, :, 0].tolist() == [[0, 0, 1, 1, 1], [0, 0, 1, 1, 1], [2, 2, 2, 2, 2]]
    assert joined.whole[0][0][:, 0].tolist() == [1, 1, 2]
    taken = joined.take(torch.tensor([2, 0]), 1)
    assert taken.by_token[0].shape == (2, 1, 4, 2)
    assert taken.whole[0][0][:, 0].tolist() == [2, 1]
    assert taken.whole[0][1] is None


def test_auto_on_a_cpu_follows_its_instructions_and_measures_nothing(monkeypatch):
    for name, has in (("_is_avx512_bf16_supported", True), ("_is_amx_tile_supported", False)):
        monkeypatch.setattr(torch.cpu, name, lambda has=has: has)
    assert pretrained.dtype_on_cpu(512) == torch.bfloat16
    assert pretrained.dtype_on_cpu(64) == torch.float32
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    assert pretrained.dtype_on_cpu(512) == torch.float32


def test_the_bases_dropout_is_off_and_the_adapters_is_on(make_policy, tmp_path):
    folder = random_model(
        tmp_path, "phi", vocab_size=384, hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=4, resid_pdrop=0.5, embd_pdrop=0.5, attention_dropout=0.5,
    )  # fmt: skip
    policy = make_policy(model_id=folder, target_modules=("q_proj",), quantization="none", dropout=0.5)
    with policy.training():
        on = [name for name, module in policy.model.named_modules() if module.training]
    assert on
    assert all(".lora_dropout." in name for name in on)
    assert not any(module.training for module in policy.model.modules())


def test_a_special_token_among_the_stops_ends_a_completion(make_policy):
    policy = make_policy(stops=("<|im_end|>", "<|user|>", "plain text"))
    special = policy.tokenizer.convert_tokens_to_ids("<|user|>")
    assert special in policy.stop_ids
    assert len(policy.stop_ids) == len(make_policy().stop_ids) + 1


def test_a_template_whose_turns_end_otherwise_is_said_with_the_line(quick_recipe, tina, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = shutil.copytree(Path(tina_lite.__file__).parent / "base", tmp_path / "model")
    template = (model / "chat_template.jinja").read_text()
    end = "<|end|>"
    assert end in template
    (model / "chat_template.jinja").write_text(template.replace(end, "<|user|>"))
    words = ["run", "quick.yaml", "--dry-run", "--set", "model.id=./model"]
    said = 'ends a turn with <|user|>, which does not end a completion of this model; write rollout.stop: ["<|user|>"]'
    assert said in " ".join(tina(*words).out.split())
    assert "ends a turn" not in tina(*words, "--set", 'rollout.stop=["<|user|>"]').out
    assert "ends a turn" not in tina("run", "quick.yaml", "--dry-run").out


def test_a_context_ends_where_positions_change(make_policy, tmp_path):
    model = shutil.copytree(Path(tina_lite.__file__).parent / "base", tmp_path / "model")
    assert make_policy(model_id=str(model)).context > 64
    rope = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0, "original_max_position_embeddings": 64}
    change_json(model / "config.json", rope_parameters=rope)
    assert make_policy(model_id=str(model)).context == 64


def test_another_kind_of_cache_is_named():
    from types import SimpleNamespace

    class Compressed:
        pass

    model = SimpleNamespace(device=torch.device("cpu"))
    decoder = CachedDecoder(model)
    decoder._cache = SimpleNamespace(layers=[Compressed()])
    decoder._seen = torch.ones(1, 1, dtype=torch.int64)
    with pytest.raises(BadInput, match="its cache has a Compressed"):
        decoder.keep(torch.tensor([0]))


def test_the_recipes_that_ship_with_a_base_name_its_end_of_turn():
    recipe = load_recipe(ROOT / "recipes" / "small" / "qwen3-0.6b-math.yaml")
    assert recipe.rollout.stop == ("<|im_end|>",)
    assert ModelSection(id=recipe.model.id).id.endswith("-Base")
