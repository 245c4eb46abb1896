"""Files and folders that this user may not read or write: one line, and nothing is left behind."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import tina_lite

POWERLESS = ["setpriv", "--inh-caps=-dac_override,-dac_read_search", "--bounding-set=-dac_override,-dac_read_search"]
"""Root without the right to pass over permissions."""
BESIDES = r"\d+:\d\d:\d\d |the \d+ s of this session are on no run's bill"
"""Lines of progress, and the watchdog's, where loading took a slow machine ten seconds."""
WITHOUT = POWERLESS if os.geteuid() == 0 else []


def bound_by_permissions() -> bool:
    return not WITHOUT or (
        shutil.which(WITHOUT[0]) is not None
        and subprocess.run([*WITHOUT, "true"], capture_output=True, check=False).returncode == 0
    )


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not bound_by_permissions(), reason="this user may do anything, and cannot give that up"),
]


@pytest.mark.parametrize(
    ("place_name", "mode", "words", "said"),
    [
        ("ok.jsonl", 0o000, [], r"ok.jsonl: cannot be read (Permission denied); let this user read it"),
        ("mymodel", 0o000, ["--model", "./mymodel"], "mymodel/config.json: cannot be used (Permission denied); choose"),
        ("mymodel/model.safetensors", 0o000, ["--model", "./mymodel"], "model.safetensors: cannot be read (Permission"),
        ("case.yaml", 0o000, [], "case.yaml"),
        ("mine.py", 0o000, ["--set", "rewards=mine.py:score"], "mine.py does not load: PermissionError"),
        ("sealed", 0o555, ["--out", "sealed/r"], "sealed/r: cannot be written (Permission denied); choose another"),
        ("sealed", 0o000, ["--out", "sealed/r"], "sealed/r"),
    ],
)
def test_what_may_not_be_used(
    place: Path, model: Path, place_name: str, mode: int, words: list[str], said: str
) -> None:
    (place / "mine.py").write_text("def score(completions, **c): return [1.0] * len(completions)\n")
    (place / "sealed").mkdir()
    before = sorted(place.rglob("*"))
    (place / place_name).chmod(mode)
    command = [*WITHOUT, sys.executable, "-m", "tina_lite.cli.main", "run", "case.yaml", "--plain", *words]
    environment = {**os.environ, "PYTHONPATH": str(Path(tina_lite.__file__).parents[1])}
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)
    (place / place_name).chmod(0o755)
    spoken = [line for line in done.stderr.splitlines() if not re.match(BESIDES, line)]
    assert done.returncode in (2, 3), done.stderr
    assert len(spoken) == 1, done.stderr
    assert said in spoken[0]
    assert sorted(place.rglob("*")) == before
