"""Idle threads must not hold the core that somebody else wants."""

import os
import subprocess
import sys

import pytest
import torch

SHOWN = "GOMP_SPINCOUNT = "


def spins(loaded: str, **environment: str) -> str:
    """What GNU's OpenMP says it was set to, in a process that runs `loaded`."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("GOMP_", "OMP_"))}
    done = subprocess.run(
        [sys.executable, "-c", loaded],
        env={**variables, "OMP_DISPLAY_ENV": "verbose", **environment},
        stderr=subprocess.PIPE,
        text=True,
        check=True,
    )
    found = [line.partition(SHOWN)[2].strip("' ") for line in done.stderr.splitlines() if SHOWN in line]
    if not found:
        pytest.skip(f"torch {torch.__version__} has another OpenMP here")
    return found[0]


@pytest.mark.slow
@pytest.mark.parametrize("loaded", ["import tina_lite.train.learner", "from tina_lite import run; run; import torch"])
def test_an_idle_thread_sleeps_soon_however_the_package_is_loaded(loaded: str) -> None:
    assert spins(loaded) == "3000"
    assert int(spins("import torch")) >= 300_000  # else nothing needs setting


@pytest.mark.slow
def test_what_the_user_has_set_stands() -> None:
    assert spins("import tina_lite.train.learner", GOMP_SPINCOUNT="77") == "77"
    assert int(spins("import tina_lite.train.learner", OMP_WAIT_POLICY="active")) > 300_000
