"""What README and docs show is there: commands and their options, recipes, and Python, which is run."""

import re
import shlex
from importlib import import_module
from pathlib import Path

import click
import pytest
from doc_tables import DOCS, TABLES, with_table

from tina_lite.cli.main import COMMANDS, cli, outcome
from tina_lite.recipe import load_recipe

README = Path(__file__).parent.parent / "README.md"
PAGES = [README, *sorted(DOCS.glob("*.md"))]
LINK = re.compile(r"\]\(([^)#\s]+)(?:#([^)\s]+))?\)")


def blocks(language, pages=PAGES):
    shown = [
        text for page in pages for text in re.findall(r"^```(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    ]
    return [text.partition("\n")[2] for text in shown if text.partition("\n")[0] == language]


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


@pytest.mark.parametrize("page", TABLES)
def test_tables_are_made_from_the_code(page):
    text = (DOCS / page).read_text(encoding="utf-8")
    assert with_table(page, text) == text, "make doc-tables"


def test_pages_are_short():
    assert len(README.read_bytes()) < 9_000
    assert {page.name: size for page in PAGES if (size := len(page.read_bytes())) > 12_000} == {}


def test_links_of_the_readme_lead_somewhere():
    """Those of the pages: mkdocs, in make lint."""
    links = [place for place, _ in LINK.findall(README.read_text()) if "://" not in place]
    assert len(links) > 10
    assert [place for place in links if not (README.parent / place).exists()] == []


def test_every_page_is_in_the_index_and_printed(capsys):
    from tina_lite.cli.docs import pages

    index = (DOCS / "index.md").read_text()
    assert set(pages()) == {page.stem for page in DOCS.glob("*.md")}
    assert [name for name in pages() if name != "index" and f"[{name}]({name}.md)" not in index] == []
    assert outcome(["docs", "rewards"]) == 0
    assert capsys.readouterr().out == (DOCS / "rewards.md").read_text()
    assert outcome(["docs", "reward"]) == 2
    assert "did you mean rewards?" in capsys.readouterr().err


def test_modules_that_are_named_exist():
    text = (DOCS / "how-it-works.md").read_text(encoding="utf-8")
    names = re.findall(r"^(tina_lite/\S+?)(?:\.py|/) ", text, re.MULTILINE)
    assert len(names) > 10
    for name in names:
        import_module(name.replace("/", "."))


def test_the_python_that_is_shown_runs(tmp_path, quick_recipe, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(quick_recipe.read_text().replace("max_steps: 3", "max_steps: 1"))
    shown = blocks("python")
    assert len(shown) >= 3
    for text in shown:
        exec(compile(text, "README.md", "exec"), {"__name__": "readme"})
    assert capsys.readouterr().out.strip()
