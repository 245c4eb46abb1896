"""The card of an export holds the run's table, and names a base in its head only where the hub knows it."""

from pathlib import Path

from ruamel.yaml import YAML

from tina_lite.export.card import gguf_card, merged_card, table_of


def head(card):
    return YAML(typ="safe").load(card.split("---\n")[1])


def test_the_table_of_the_run_is_taken_over(tmp_path):
    (tmp_path / "README.md").write_text(
        "# mine\n\n| | |\n| --- | --- |\n| steps | 3 |\n\ntext | not\n| another | table |\n"
    )
    assert table_of(tmp_path) == "| | |\n| --- | --- |\n| steps | 3 |"
    assert "| steps | 3 |" in merged_card("mine", "me/base", "bfloat16", tmp_path)


def test_an_adapter_without_a_card_has_no_table(tmp_path):
    assert table_of(tmp_path) == ""
    assert "llama-cli -m mine-f16.gguf" in gguf_card("mine", "me/base", "mine-f16.gguf", "f16", tmp_path)


def test_the_head_names_a_base_of_the_hub_alone(tmp_path):
    nowhere = Path("nowhere")
    assert head(merged_card("mine", "me/base", "float32", nowhere))["base_model"] == "me/base"
    assert "base_model" not in head(merged_card("mine", str(tmp_path), "float32", nowhere))
    assert head(gguf_card("mine", "builtin:tiny", "m.gguf", "f16", nowhere)) == {
        "library_name": "gguf",
        "tags": ["grpo", "tina-lite"],
    }
