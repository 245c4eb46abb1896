"""Each tracker for real, offline, read back from what it wrote."""

import json
from pathlib import Path

import pytest

from tina_lite.track import Beginning


def beginning(folder: Path, resumed_from_step: int = 0) -> Beginning:
    folder.mkdir(exist_ok=True)
    (folder / "ledger.jsonl").write_text('{"kind": "start", "session": 1, "at": 7.5}\n')
    return Beginning(folder.name, folder, resumed_from_step, {"seed": 1, "lora": {"r": 8}})


def test_tensorboard_event_files_hold_what_was_logged(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from tina_lite.track.backends import TensorBoardTracker

    board = TensorBoardTracker(beginning(tmp_path / "quick"))
    board.log(1, {"train/reward": 0.5, "train/loss": float("nan")})
    board.log(2, {"train/reward": 0.75})
    board.log(3, {"train/reward": 9.0})  # then the process is killed, and goes on from step 2
    again = TensorBoardTracker(beginning(tmp_path / "quick", resumed_from_step=2))
    again.log(3, {"train/reward": 1.0})
    again.close()
    read = EventAccumulator(str(tmp_path / "quick" / "tensorboard"))
    read.Reload()
    assert [(event.step, event.value) for event in read.Scalars("train/reward")] == [(1, 0.5), (2, 0.75), (3, 1.0)]
    [recipe] = read.Tensors("recipe/text_summary")
    assert '"r": 8' in recipe.tensor_proto.string_val[0].decode()


@pytest.mark.slow
@pytest.mark.parametrize("key", [None, "0" * 40], ids=["without a key", "with a key and no network"])
def test_wandb_keeps_a_run_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str | None) -> None:
    library = pytest.importorskip("wandb", reason="wandb is not installed")
    from tina_lite.track.backends import WandbTracker, _run_id

    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("WANDB_MODE", "WANDB_API_KEY", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    if key is not None:
        monkeypatch.setenv("WANDB_API_KEY", key)
        monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # where nobody listens
    run = WandbTracker(beginning(tmp_path / "quick"))
    run.log(1, {"train/reward": 0.5})
    run.log(2, {"train/reward": 0.75})
    run.close()
    library.teardown()  # as at a program's end: its service may still be writing when a run is finished
    [folder] = (tmp_path / "quick" / "wandb").glob("offline-run-*")
    [kept] = folder.glob("run-*.wandb")
    assert b"train/reward" in kept.read_bytes()
    assert folder.name.endswith(_run_id(beginning(tmp_path / "quick")))


@pytest.mark.slow
def test_trackio_keeps_a_run_in_its_database(tmp_path: Path) -> None:
    """In a process of its own: trackio reads its folder's name when it is imported. In a thread, as in a run."""
    pytest.importorskip("trackio", reason="trackio is not installed")
    import os
    import sqlite3
    import subprocess
    import sys

    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path\n"
        "from test_trackers import beginning\n"
        "from tina_lite.track.backends import TrackioTracker\n"
        "def work():\n"
        "    run = TrackioTracker(beginning(Path(sys.argv[2])))\n"
        "    run.log(1, {'train/reward': 0.5}); run.log(2, {'train/reward': 0.75}); run.close()\n"
        "import threading; thread = threading.Thread(target=work); thread.start(); thread.join()\n"
    )
    command = [sys.executable, "-c", script, str(Path(__file__).parent), str(tmp_path / "quick")]
    kept = {"TRACKIO_DIR": str(tmp_path / "kept"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, env={**os.environ, **kept}, capture_output=True, text=True, check=True)
    assert done.stdout == ""
    [path] = (tmp_path / "kept").glob("*.db")
    with sqlite3.connect(path) as database:
        rows = database.execute("select run_name, step, metrics from metrics order by step").fetchall()
    assert [(name, step, json.loads(metrics)["train/reward"]) for name, step, metrics in rows] == [
        ("quick", 1, 0.5),
        ("quick", 2, 0.75),
    ]
