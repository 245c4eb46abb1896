"""A benchmark measures each side in a process of its own: nothing is warm, and the peak is that side's alone."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def measure(python: str, script: str, *arguments: str, **environment: str) -> dict[str, Any]:
    """Run a script of this folder by this interpreter; the last line that it prints is its result in JSON."""
    variables = {**os.environ, "PYTHONPATH": str(HERE.parent), "HF_HUB_OFFLINE": "1", **environment}
    command = [python, str(HERE / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=variables, check=False)
    if done.returncode:
        sys.exit(f"{script} failed:\n{done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def say(*cells: object) -> None:
    """One row of a table."""
    print("|", " | ".join(map(str, cells)), "|", file=sys.stderr, flush=True)
