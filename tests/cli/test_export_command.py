import pytest
from click.testing import CliRunner

from tina_lite.cli.export import export
from tina_lite.policy.model_ref import CONFIG
from tina_lite.util.errors import BadInput


def call(*words):
    result = CliRunner().invoke(export, [str(word) for word in words], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result


@pytest.fixture
def run_folder(tmp_path, quick_recipe):
    from tina_lite.recipe import load_recipe, to_yaml

    run = tmp_path / "quick"
    (run / "adapter").mkdir(parents=True)
    (run / "adapter" / CONFIG).write_text(
        '{"r": 8, "lora_alpha": 32, "target_modules": ["q_proj"], "base_model_name_or_path": "me/base"}'
    )
    (run / "adapter" / "README.md").write_text("card")
    (run / "recipe.yaml").write_text(to_yaml(load_recipe(quick_recipe)))
    return run


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--to", "hub"], "--repo OWNER/NAME"),
        (["--to", "merged", "--dry-run"], "--dry-run belongs to --to hub"),
        (["--to", "gguf", "--repo", "me/mine"], "--repo belongs to --to hub"),
        (["--to", "hub", "--repo", "me/mine", "--push", "merged"], "write it first with"),
    ],
)
def test_what_does_not_go_together_is_said_before_a_model_is_loaded(run_folder, words, said):
    with pytest.raises(BadInput, match=said):
        call(run_folder, *words)


def test_a_model_has_nothing_to_export():
    with pytest.raises(BadInput, match="without an adapter"):
        call("builtin:tiny", "--to", "merged")


def test_an_export_that_is_there_is_refused_before_a_model_is_loaded(run_folder):
    (run_folder / "export" / "gguf-q8_0").mkdir(parents=True)
    with pytest.raises(BadInput, match="exists already"):
        call(run_folder, "--to", "gguf", "--type", "q8_0")


def test_a_dry_run_shows_files_sizes_and_the_repository(run_folder, monkeypatch):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    said = call(run_folder, "--to", "hub", "--repo", "me/mine", "--dry-run").stdout
    assert "README.md" in said
    assert f"from {run_folder / 'adapter'} to me/mine (private)" in said


def test_an_export_says_how_far_it_is_from_the_run(tmp_path, quick_recipe, make_policy):
    from tina_lite.recipe import load_recipe, to_yaml

    run = tmp_path / "quick"
    make_policy(spread=0.05).save_adapter(run / "adapter")
    (run / "recipe.yaml").write_text(to_yaml(load_recipe(quick_recipe)))
    result = call(run, "--to", "merged")
    assert "largest logit difference to base + adapter" in result.stderr
    assert result.stdout == f"{run / 'export' / 'merged'}\n"
    with pytest.raises(BadInput, match="exists already"):
        call(run, "--to", "merged")
