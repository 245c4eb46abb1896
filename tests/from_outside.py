"""`tina-lite` as a process of its own, measured by a clock that it does not have."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
COMMAND = (sys.executable, "-m", "tina_lite.cli.main")
SEARCHED = (str(HERE.parent), os.environ.get("PYTHONPATH", ""))
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, SEARCHED))}

EMPTY: Mapping[str, str] = {}


def call(
    *arguments: str, cwd: Path, command: tuple[str, ...] = COMMAND, environment: Mapping[str, str] = EMPTY
) -> tuple[subprocess.CompletedProcess[str], float]:
    """What came of it, and the seconds that it took."""
    started = time.monotonic()
    env = {**ENVIRONMENT, **environment}
    done = subprocess.run([*command, *arguments], cwd=cwd, env=env, capture_output=True, text=True, check=False)
    return done, time.monotonic() - started


def imported_by(program: str, *names: str) -> list[str]:
    """Which of these modules a program in Python, which must end well, has loaded at its end."""
    end = f"\nimport json, sys; print(json.dumps([name for name in {names!r} if name in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", program + end], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return found


def summary_in(out: Path) -> dict[str, Any]:
    """Of a run folder; empty where it has none."""
    path = out / "summary.json"
    summary: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return summary
