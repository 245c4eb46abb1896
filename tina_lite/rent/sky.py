"""SkyPilot as a program beside this one: its pins and ours do not go together, so it has a Python of its own."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tina_lite.rent import in_sky
from tina_lite.util.errors import BadInput

INSTALL = "uv tool install --with 'skypilot[all]' skypilot, or pipx install skypilot"
TIMEOUT_S = 120.0


class SkyPilot:
    """An installed SkyPilot."""

    def __init__(self) -> None:
        """Find it. BadInput where there is none."""
        program = shutil.which("sky")
        if program is None and find_spec("sky") is None:
            raise BadInput(f"launch rents through SkyPilot, which is not installed: {INSTALL}; then `sky check`")
        self.program = program or str(Path(sys.executable).with_name("sky"))
        self._python = _interpreter(Path(program)) if program else sys.executable

    def offers(self, gpu: str, cloud: str | None) -> list[dict[str, Any]]:
        """What its catalogue has. BadInput where the catalogue cannot be read."""
        try:
            found: list[dict[str, Any]] = self._ask({"gpu": gpu, "cloud": cloud})["offers"]
        except BadInput as error:
            raise BadInput(f"{error}; or say what an hour costs: --rate") from None
        return found

    def check(self, task: Mapping[str, Any]) -> None:
        """Refuse a task that SkyPilot cannot read, by BadInput."""
        self._ask({"task": task})

    def call(self, *words: str) -> int:
        """Run one of its commands, with this terminal; its exit status."""
        return subprocess.run([self.program, *words], check=False).returncode

    def fetch(self, machine: str) -> int:
        """Copy the run folders of a machine into runs/; the exit status. SkyPilot has told ssh its name."""
        return subprocess.run(["rsync", "-az", f"{machine}:runs/", "runs/"], check=False).returncode

    def _ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        words = [self._python, "-I", in_sky.__file__]
        try:
            done = subprocess.run(
                words, input=json.dumps(question), capture_output=True, text=True, timeout=TIMEOUT_S, check=False
            )
            said: dict[str, Any] = json.loads(done.stdout)
        except (OSError, subprocess.TimeoutExpired, ValueError) as error:
            raise BadInput(f"SkyPilot does not answer ({error}); see whether `{self.program} check` runs") from None
        if "error" in said:
            raise BadInput(f"SkyPilot: {_first_line(said['error'])}")
        return said


def _interpreter(program: Path) -> str:
    """The Python that a script is for, by its first line."""
    with program.open("rb") as file:
        first = file.readline().decode(errors="replace")
    return first[2:].strip().split(" ")[0] if first.startswith("#!") else sys.executable


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), text)[:300]
