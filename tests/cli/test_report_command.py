"""tina-lite report: files and streams."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tina_lite.cli.main import cli
from tina_lite.util.errors import BadInput

pytest.importorskip("plotly", reason="plotly is not installed")


def run_folder(parent: Path, name: str) -> Path:
    folder = parent / name
    folder.mkdir()
    (folder / "metrics.jsonl").write_text(
        '{"step": 1, "reward": 0.5, "usd": 0.001}\n{"step": 2, "reward": 0.7, "usd": 0.002}\n'
    )
    (folder / "summary.json").write_text(
        json.dumps({"name": name, "stop_reason": "max_steps", "steps": 2, "usd": 0.002})
    )
    return folder


def call(*words: str | Path) -> str:
    return CliRunner().invoke(cli, ["report", *map(str, words)], catch_exceptions=False, standalone_mode=False).stdout


def test_one_run_gets_its_page_in_its_own_folder(tmp_path: Path) -> None:
    folder = run_folder(tmp_path, "one")
    assert call(folder) == f"{folder / 'report.html'}\n"
    assert "went from 0.500 to 0.700" in (folder / "report.html").read_text()


def test_several_runs_get_one_page_where_out_says(tmp_path: Path) -> None:
    out = tmp_path / "both.html"
    call(run_folder(tmp_path, "one"), run_folder(tmp_path, "two"), "--out", out)
    assert "2 runs side by side." in out.read_text()


def test_markdown_goes_to_stdout_or_into_a_file(tmp_path: Path) -> None:
    folder = run_folder(tmp_path, "one")
    text = call(folder, "--markdown")
    assert text.startswith("## one\n")
    call(folder, "--markdown", "--out", tmp_path / "card.md")
    assert (tmp_path / "card.md").read_text() == text
    assert not (folder / "report.html").exists()


def test_open_shows_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("click.launch", opened.append)
    folder = run_folder(tmp_path, "one")
    call(folder, "--open")
    assert opened == [str(folder / "report.html")]


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds no run"):
        call(tmp_path)
