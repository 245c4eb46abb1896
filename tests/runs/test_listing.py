import json
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeClock

from tina_lite.budget import Meter, Rate
from tina_lite.runs.events import Evaluated, Event, RunFinished, RunStarted, Stamped
from tina_lite.runs.folder import RunFolder
from tina_lite.runs.listing import Best, listed, runs_in

STARTED = RunStarted("quick", "runs/quick", "0", "m", "native", "cpu", 1, 3600.0, "--rate", None, None, 9, 0)


def finished(reason: str) -> RunFinished:
    return RunFinished({"stop_reason": reason})


def a_run(path: Path, *events: Event, rewards: tuple[float, ...] = (), closed: bool = True) -> RunFolder:
    """A run of 2 seconds at a dollar a second; `closed` as a process leaves it that was not killed."""
    folder = RunFolder.create(path, "name: quick\n")
    clock = FakeClock(1.0)
    meter = Meter.open(folder.ledger, Rate(3600.0, "--rate"), clock=clock, heartbeat_s=5.0)
    for event in (STARTED, *events):
        folder.listener(Stamped(1.7e9, 1.0, 0.0, event))
    with (path / "metrics.jsonl").open("a") as file:
        file.writelines(json.dumps({"step": step, "reward": reward}) + "\n" for step, reward in enumerate(rewards, 1))
    clock.now = 2.0
    if closed:
        meter.close()
        folder.close()
    return folder


def evaluated(when: str, step: int, pass_at_1: float) -> Evaluated:
    return Evaluated(when, step, "held_out", pass_at_1, (0.0, 1.0), 10, 4, 20.0)


@pytest.mark.parametrize(
    ("events", "status"),
    [
        ((finished("max_steps"),), "finished"),
        ((finished("max_usd"),), "finished"),
        ((finished("interrupted"),), "stopped"),
        ((finished("no_room"),), "failed"),
        ((finished("error"),), "failed"),
        ((), "failed"),
        ((finished("interrupted"), STARTED), "failed"),
        ((finished("interrupted"), STARTED, finished("max_steps")), "finished"),
    ],
)
def test_what_became_of_a_run(tmp_path: Path, events: tuple[Event, ...], status: str) -> None:
    a_run(tmp_path / "run", *events)
    assert listed(tmp_path / "run").status == status


def test_a_run_under_way_has_a_process_and_a_killed_one_an_open_ledger(tmp_path: Path) -> None:
    folder = a_run(tmp_path / "run", closed=False)
    run = listed(tmp_path / "run")
    assert (run.status, run.stop_reason) == ("running", None)
    assert run.pid
    folder.close()
    assert listed(tmp_path / "run").status == "killed"


def test_steps_dollars_and_the_best_reward(tmp_path: Path) -> None:
    a_run(tmp_path / "run", finished("max_steps"), rewards=(0.5, 2.0, 1.0))
    run = listed(tmp_path / "run")
    assert (run.name, run.steps, run.max_steps, run.stop_reason) == ("quick", 3, 9, "max_steps")
    assert run.usd == pytest.approx(2.0)
    assert run.best == Best("reward", 2.0, 2, None)


def test_an_evaluation_says_more_than_a_reward(tmp_path: Path) -> None:
    evals = [evaluated("before", 0, 0.2), evaluated("step", 5, 0.6), evaluated("after", 9, 0.5)]
    a_run(tmp_path / "run", *evals, finished("max_steps"), rewards=(1.0,))
    assert listed(tmp_path / "run").best == Best("pass_at_1", 0.6, 5, "held_out")


def test_a_folder_of_runs_and_a_run_itself(tmp_path: Path) -> None:
    for name in ("a", "b"):
        a_run(tmp_path / name, finished("max_steps"))
    (tmp_path / "no-run").mkdir()
    assert sorted(Path(run.folder).name for run in runs_in(tmp_path)) == ["a", "b"]
    (tmp_path / "a" / "eval").mkdir()  # of an evaluation of that run
    (tmp_path / "a" / "eval" / "ledger.jsonl").write_bytes((tmp_path / "a" / "ledger.jsonl").read_bytes())
    assert [Path(run.folder).name for run in runs_in(tmp_path / "a")] == ["a"]
    assert runs_in(tmp_path / "no-run") == []


@pytest.mark.parametrize("junk", ["", "{", "[]\nnull\n", '{"event": "eval", "pass_at_1": "high"}\n', "\x00\xff"])
def test_damaged_logs_do_not_keep_a_run_from_being_listed(tmp_path: Path, junk: str) -> None:
    a_run(tmp_path / "run", rewards=(1.0,))
    for name in ("events.jsonl", "metrics.jsonl", "ledger.jsonl"):
        (tmp_path / "run" / name).write_text(junk)
    run: Any = listed(tmp_path / "run")
    assert run.steps == 0
    assert run.best is None
