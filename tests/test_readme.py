"""What the README shows is there: its commands and their options, its recipe, and its Python, which is run."""

import re
import shlex
from importlib import import_module
from pathlib import Path

import click
import pytest
from recipe_table import with_table

from tina_lite.cli.main import COMMANDS, cli
from tina_lite.recipe import load_recipe

README = Path(__file__).parent.parent / "README.md"
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def blocks(language):
    return [text for name, text in BLOCKS if name == language]


def command_lines():
    """The words of each tina-lite command that is shown."""
    lines = [line for text in blocks("sh") for line in text.splitlines()]
    words = [shlex.split(line, comments=True) for line in lines]
    return [line[line.index("tina-lite") :] for line in words if "tina-lite" in line]


@pytest.mark.parametrize("words", command_lines(), ids=" ".join)
def test_a_command_that_is_shown_has_these_options(words):
    name, *rest = words[1:]
    assert name in COMMANDS
    command = cli.get_command(click.Context(cli), name)
    while isinstance(command, click.Group) and rest and rest[0] in command.commands:
        command, rest = command.commands[rest[0]], rest[1:]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {word.partition("=")[0] for word in rest if word.startswith("--")} <= known


def test_most_commands_are_shown():
    assert len(command_lines()) >= 10


@pytest.mark.parametrize("text", [text for text in blocks("yaml") if text.startswith("name:")])
def test_the_recipe_that_is_shown_is_one(text, tmp_path):
    (tmp_path / "mine.yaml").write_text(text)
    assert load_recipe(tmp_path / "mine.yaml").name == "mine"


def test_the_table_of_recipes_is_made_from_them():
    text = README.read_text(encoding="utf-8")
    assert "`quickstart`" in text
    assert with_table(text) == text, "make recipe-table"


def test_modules_that_are_named_exist():
    for name in re.findall(r"^tina_lite/(\w+)(?:\.py|/) ", README.read_text(encoding="utf-8"), re.MULTILINE):
        import_module(f"tina_lite.{name}")


def test_the_python_that_is_shown_runs(tmp_path, quick_recipe, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(quick_recipe.read_text().replace("max_steps: 3", "max_steps: 1"))
    shown = blocks("python")
    assert len(shown) >= 3
    for text in shown:
        exec(compile(text, "README.md", "exec"), {"__name__": "readme"})
    assert capsys.readouterr().out.strip()
