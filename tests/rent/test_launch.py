"""The command where it is refused before anything is asked of SkyPilot."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["quickstart"], "uv tool install"),
        (["quickstart", "--spot"], "name a bucket with --bucket"),
        (["quickstart", "--gpu", "L4:2"], "a run uses one card; write L4:1"),
        (["gsm8k-cpu", "--set", "budget.max_usd="], "it needs a limit: --max-usd"),
    ],
)
def test_bad_input_is_a_line(
    tmp_path: Path, tina: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, words: list[str], says: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    said = tina("launch", *words, "--dry-run")
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert says in said.err
    assert not list(tmp_path.iterdir())
