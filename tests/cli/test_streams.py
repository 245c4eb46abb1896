"""Streams as people leave them: nothing that becomes of stdout or stderr ends in a fault."""

import subprocess
from pathlib import Path

import pytest
from from_outside import COMMAND, ENVIRONMENT

CARDS = "gpus"
UNKNOWN = "recipes show nosuch"
FULL = "stdout: cannot be written (No space left on device); what was to go there is lost\n"


def shell(arguments: str, folder: Path) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of the command, with what a shell does to its streams."""
    line = f'set -o pipefail; "$@" {arguments}'
    done = subprocess.run(
        ["bash", "-c", line, "bash", *COMMAND],
        cwd=folder,
        env={**ENVIRONMENT, "PYTHONFAULTHANDLER": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (f"{CARDS} >/dev/full", 3, FULL),
        (f"{CARDS} | true", 0, ""),
        (f"{CARDS} 2>&1 >&- | cat", 0, ""),
        (f"{CARDS} <&- >&- 2>&-", 0, ""),
        (f"{UNKNOWN} >&-", 2, "nosuch: no such recipe"),
        (f"{UNKNOWN} 2>/dev/full", 2, ""),
        (f"{UNKNOWN} 2>&1 | true", 2, ""),
    ],
)
def test_a_stream_that_takes_nothing(arguments: str, code: int, said: str, tmp_path: Path) -> None:
    ended, out, err = shell(arguments, tmp_path)
    assert (ended, out) == (code, "")
    assert err.startswith(said)
    assert bool(err) == bool(said)


def test_what_a_stream_took_before_it_closed_is_whole(tmp_path: Path) -> None:
    code, out, err = shell(f"{CARDS} 2>&-", tmp_path)
    assert (code, err) == (0, "")
    assert out.startswith("card ")


@pytest.mark.parametrize(("stream", "code"), [("| true", 0), (">/dev/full", 3), ("<&- >&- 2>&-", 0)])
def test_a_run_outlives_its_reader(quick_recipe: Path, stream: str, code: int) -> None:
    """A process that trains: 5 s."""
    folder = quick_recipe.parent
    ended, _, err = shell(f"run quick.yaml --json --max-steps 1 --out out {stream}", folder)
    assert ended == code
    assert err == (FULL if code else "")
    assert (folder / "out" / "summary.json").exists()
