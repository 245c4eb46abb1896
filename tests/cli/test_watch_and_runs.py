import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from tina_lite.cli.runs import runs, stop, watch
from tina_lite.runs.events import LogLine, Stamped
from tina_lite.runs.folder import RunFolder
from tina_lite.util.errors import BadInput


@pytest.fixture
def a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """runs/quick below the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    folder = tmp_path / "runs" / "quick"
    folder.mkdir(parents=True)
    (folder / "ledger.jsonl").touch()
    line = json.dumps(Stamped(1.0, 1.0, 0.0, LogLine("warning", "look here")).to_json())
    (folder / "events.jsonl").write_text(line + "\n")
    return folder


@pytest.mark.parametrize("name", ["quick", "runs/quick"])
def test_a_run_is_watched_by_its_folder_or_its_name(a_folder: Path, name: str) -> None:
    result = CliRunner().invoke(watch, [name], catch_exceptions=False)
    assert result.exit_code == 0
    assert "warning: look here" in result.stdout


@pytest.mark.parametrize("name", ["slow", "runs"])
def test_what_is_no_run_is_refused_with_where_to_look(a_folder: Path, name: str) -> None:
    with pytest.raises(BadInput, match="tina-lite runs lists them"):
        CliRunner().invoke(watch, [name], catch_exceptions=False)


@pytest.mark.parametrize("name", ["mine", "runs/mine"])
def test_a_run_is_asked_to_stop_and_may_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    folder = RunFolder.create(Path("runs/mine"), "name: mine\n")
    (folder.path / "ledger.jsonl").touch()
    assert not folder.asked_to_stop()
    said = CliRunner().invoke(stop, [name], catch_exceptions=False).stdout
    assert said == f"runs/mine (process {os.getpid()}) ends after its step, saves and evaluates; " + (
        "tina-lite resume runs/mine goes on\n"
    )
    assert folder.asked_to_stop()
    assert not folder.asked_to_stop(), "asked once, obeyed once"
    folder.close()
    with pytest.raises(BadInput, match=r"^runs/mine: no process runs it"):
        CliRunner().invoke(stop, [name], catch_exceptions=False)
    assert not (folder.path / "STOP").exists()


@pytest.mark.parametrize("name", ["slow", "runs"])
def test_only_a_run_can_be_stopped(a_folder: Path, name: str) -> None:
    with pytest.raises(BadInput, match="tina-lite runs lists them"):
        CliRunner().invoke(stop, [name], catch_exceptions=False)


@pytest.mark.parametrize("speed", ["0x", "-1", "fast", "x", ""])
def test_a_speed_that_is_none_is_a_usage_error(a_folder: Path, speed: str) -> None:
    result = CliRunner().invoke(watch, ["quick", "--replay", speed])
    assert result.exit_code == 2
    assert "such as 50x" in result.output


def test_runs_are_listed_for_people_and_for_programs(a_folder: Path) -> None:
    header, line = CliRunner().invoke(runs, [], catch_exceptions=False).stdout.splitlines()
    assert header.split() == ["run", "state", "steps", "dollars", "best"]
    assert line.split() == ["runs/quick", "killed", "0", "$0.0000", "-"]
    (told,) = json.loads(CliRunner().invoke(runs, ["runs", "--json"]).stdout)["runs"]
    assert told["status"] == "killed"
    assert told["best"] is None


def test_no_runs_is_no_error_and_no_folder_is_one(a_folder: Path) -> None:
    (a_folder.parent.parent / "empty").mkdir()
    assert "no runs in empty/" in CliRunner().invoke(runs, ["empty"], catch_exceptions=False).stdout
    with pytest.raises(BadInput, match="is no folder"):
        CliRunner().invoke(runs, ["nowhere"], catch_exceptions=False)


def test_what_left_no_run_is_counted_beside_the_runs(tina, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert "besides" not in tina("runs").out
    kept = tmp_path / "tina-lite" / "unbilled.jsonl"
    kept.parent.mkdir()
    kept.write_text('{"seconds": 41.0, "usd": 0.03}\n{"seconds": 20.0, "usd": 0.01}\n')
    assert tina("runs").out.splitlines()[-1] == f"besides, $0.0400 went in 1 min 01 s to what left no run: {kept}"
