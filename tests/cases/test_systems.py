"""Machines unlike the one that this was written on, played."""

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from from_outside import ENVIRONMENT
from whole_runs import QUICK_RECIPE, summary_of

from tina_lite import load_recipe, run

WITHOUT = """
import os, signal, sys
del os.O_NOFOLLOW, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2
sys.modules["fcntl"] = None
from tina_lite.cli.main import main
main()
"""


@pytest.mark.slow
def test_a_system_without_locks_and_signals_of_unix_trains(tmp_path):
    """As Windows is: a run, its list, its resume. Three processes, 10 s."""
    (tmp_path / "quick.yaml").write_text(QUICK_RECIPE)

    def command(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", WITHOUT, *words], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    command("run", "quick.yaml", "--out", "out", "--plain")
    assert summary_of(tmp_path / "out")["steps"] == 3
    assert "finished: max steps" in command("runs", ".")
    command("resume", "out", "--max-steps", "4", "--plain")
    assert summary_of(Path(tmp_path / "out"))["steps"] == 4


@pytest.mark.parametrize("why", [errno.EINVAL, errno.ENOTSUP])
def test_a_file_system_whose_folders_cannot_be_synced_will_do(quick_recipe, tmp_path, monkeypatch, why):
    """As CIFS, 9p and vboxsf answer."""
    fsync = os.fsync

    def synced(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(why, os.strerror(why))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", synced)
    assert run(load_recipe(quick_recipe, {"stop.max_steps": 1}), out=tmp_path / "out")["steps"] == 1
