"""What code of others does to the process is undone after it, and there again when it is called again."""

import json
import os
import random
import signal
import time
from pathlib import Path

import numpy
import pytest
import torch

from tina_lite.rewards import resolve
from tina_lite.rewards.call import Failure, chat
from tina_lite.util.user_code import guest

UNRULY = """
import os, random, signal, tempfile, time
from pathlib import Path
import numpy, torch

print("loaded")
os.environ["ASKED"] = "at " + os.getcwd()
os.chdir(tempfile.mkdtemp())
HOME = os.getcwd()
Path("words.txt").write_text("some")

def unruly(completions, **columns):
    print("called\\nhalf a ", end="")
    assert os.environ["ASKED"].startswith("at ") and os.getcwd() == HOME
    assert Path("words.txt").read_text() == "some"
    os.environ.pop("PATH", None)
    random.seed(1), numpy.random.seed(1), torch.manual_seed(1)
    torch.set_num_threads(torch.get_num_threads() + 1)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(1)
    return [1.0] * len(completions)

def hangs(completions, **columns):
    signal.alarm(0)
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    time.sleep(60)
"""


@pytest.fixture
def columns():
    return {"completions": list(chat("a", "b")), "prompts": list(chat("?", "?", role="user"))}


def state() -> list[object]:
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGALRM, signal.SIGINT)]
    chance = random.getstate(), numpy.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    timer = signal.getitimer(signal.ITIMER_REAL)
    return [os.getcwd(), dict(os.environ), handlers, chance, torch.get_num_threads(), timer]


def test_a_thousand_calls_leave_the_process_as_it_was(tmp_path, monkeypatch, capsys, columns):
    monkeypatch.chdir(tmp_path)
    Path("unruly.py").write_text(UNRULY)
    before = state()
    reward = resolve("unruly.py:unruly")
    for _ in range(1000):
        assert reward(columns, 5.0) == [1.0, 1.0]
    assert state() == before
    out, err = capsys.readouterr()
    assert out == ""
    said = ["unruly.py: loaded", *["reward unruly: called", "reward unruly: half a "] * 1000]
    assert err.splitlines() == said


def test_a_limit_holds_whatever_is_done_to_alarms(tmp_path, monkeypatch, columns):
    monkeypatch.chdir(tmp_path)
    Path("unruly.py").write_text(UNRULY)
    started = time.process_time()
    first, _ = resolve("unruly.py:hangs")(columns, 0.2)
    assert isinstance(first, Failure)
    assert "TimeoutError: it took longer than 0.2 s" in first.traceback
    assert time.process_time() - started < 5


def test_a_folder_that_a_guest_removes_is_not_where_the_run_goes_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        with guest("mine"):
            (tmp_path / "scratch").mkdir()
            os.chdir("scratch")
            os.rmdir(tmp_path / "scratch")
        assert Path.cwd() == tmp_path


def test_what_a_guest_changes_follows_who_moves_meanwhile(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with guest("mine"):
        os.environ["MINE"] = "1"
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    monkeypatch.setenv("OURS", "2")
    with guest("mine"):
        assert (Path.cwd().name, os.environ["MINE"], os.environ["OURS"]) == ("other", "1", "2")
    assert "MINE" not in os.environ


def test_json_on_stdout_stays_json(tina, quick_recipe, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path("unruly.py").write_text(UNRULY)
    said = tina("run", "quick.yaml", "--json", "--out", "out", "--set", "rewards=[accuracy, 'unruly.py:unruly']")
    assert said.code == 0
    assert all(json.loads(line) for line in said.out.splitlines())
    assert said.err.count("reward unruly: called") == 5, "tried twice, as it gives the same for all"
    assert (tmp_path / "out" / "summary.json").exists()
