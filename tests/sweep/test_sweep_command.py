"""The command where it is refused, or shows what it would do."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tina_lite.sweep import cluster


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "sweep.yaml"
    path.write_text("recipe: quickstart\nseeds: [1, 2]\nbudget: {max_usd: 0.1, rate: 0.2}\n")
    return path


def test_a_dry_run_lists_the_trials_and_their_share(file: Path, tina: Callable[..., Any]) -> None:
    said = tina("sweep", str(file), "--dry-run")
    assert said.code == 0
    assert said.out.splitlines() == [
        "   1  as it is  seed=1",
        "   2  as it is  seed=2",
        "2 trials, $0.1000 for all: $0.0500 each, and more where others need less",
    ]
    assert [path.name for path in file.parent.iterdir()] == ["sweep.yaml"]


def test_without_ray_it_is_a_line(file: Path, tina: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "find_spec", lambda name: None)
    said = tina("sweep", str(file))
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert "pip install 'tina-lite[sweep]'" in said.err
    assert [path.name for path in file.parent.iterdir()] == ["sweep.yaml"]


def test_another_sweep_s_folder_is_left_alone(
    file: Path, tina: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "find_spec", lambda name: True)
    folder = file.parent / "out"
    folder.mkdir()
    (folder / "journal.jsonl").write_text("")
    assert "holds a sweep" in tina("sweep", str(file), "--out", "out").err
    (folder / "trials.json").write_text(json.dumps({"001-as-it-is-seed=1": "another"}))
    said = tina("sweep", str(file), "--out", "out", "--resume")
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert "was begun with other trials than the file has now (001-as-it-is-seed=1)" in said.err
