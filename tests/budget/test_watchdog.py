"""The process that ends a run at its limit, beside small processes that stand for a run.

Each lives for a fraction of a second, the one that sleeps for two: that is what the watchdog takes for sleep.
"""

import json
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from from_outside import ENVIRONMENT

from tina_lite.budget import read_bills
from tina_lite.budget.watchdog import GRACE_S, MARGIN_S
from tina_lite.runs.listing import listed

RUN = """
import os, signal, subprocess, sys, time
from pathlib import Path
from tina_lite.budget import guard
from tina_lite.budget import Meter, Rate
from tina_lite.budget.limits import Limits
from tina_lite.budget.meter import ProcessClock
from tina_lite.cli.process import drop_everything, leave

class Older(ProcessClock):
    def elapsed_s(self):
        return super().elapsed_s() + {age_s}

guard.start(drop_everything)
watchdog = guard._guard.process.pid
rate, clock, folder = Rate(3600.0, "test"), Older(), Path("run")
meter = Meter.open(folder / "ledger.jsonl", rate, clock=clock) if {ledger} else Meter.in_memory(rate, clock)
guard.guard(meter, Limits(max_usd=clock.elapsed_s() + {left_s}), folder, "and that is that")
print(watchdog, flush=True)
with meter.phase("reward"):
    {work}
"""
FOREVER = "time.sleep(600)"
GIL = "sum(range(10**11))"


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., "subprocess.Popen[str]"]:
    (tmp_path / "run").mkdir()
    environment = {**ENVIRONMENT, "XDG_STATE_HOME": str(tmp_path / "state")}

    def start(work: str, left_s: float = MARGIN_S + 0.2, age_s: float = 0.0, ledger: bool = True) -> Any:
        program = RUN.format(work=work, left_s=left_s, age_s=age_s, ledger=ledger)
        return subprocess.Popen(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    return start


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize(("work", "code"), [(FOREVER, 3), (GIL, -signal.SIGKILL)], ids=["asleep", "in a call of C's"])
def test_a_run_that_does_not_end_by_itself_is_ended_and_its_bill_is_closed(start, tmp_path, work, code):
    run = start(work)
    _, said = run.communicate()
    assert run.returncode == code
    assert said == "max_usd is used up: the run was ended at once, in its phase reward; and that is that\n"
    begin, end = lines(tmp_path / "run" / "ledger.jsonl")
    assert (end["kind"], end["watchdog"], end["session"]) == ("end", "max_usd", begin["session"])
    assert end["elapsed_s"] == pytest.approx(sum(end["seconds_by_phase"].values()))
    assert end["seconds_by_phase"]["reward"] > 0
    assert listed(tmp_path / "run").status == "failed"


@pytest.mark.parametrize("kill", [os.kill, os.killpg], ids=["alone", "with its group"])
def test_the_bill_of_a_run_that_is_killed_ends_there(start, tmp_path, kill):
    run = start(FOREVER, left_s=600)
    run.stdout.readline()
    kill(run.pid, signal.SIGKILL)
    assert run.communicate()[1] == ""
    begin, end = lines(tmp_path / "run" / "ledger.jsonl")
    assert (end["kind"], end["watchdog"]) == ("end", "died")
    (bill,) = read_bills(tmp_path / "run" / "ledger.jsonl")
    assert begin["elapsed_s"] < bill.seconds < begin["elapsed_s"] + begin["heartbeat_s"]
    assert listed(tmp_path / "run").status == "killed"


def test_half_a_line_that_was_being_written_gives_way(start, tmp_path):
    run = start("open('run/ledger.jsonl', 'a').write('{half'); os.kill(os.getpid(), signal.SIGKILL)")
    run.communicate()
    assert [line["kind"] for line in lines(tmp_path / "run" / "ledger.jsonl")] == ["start", "end"]


def test_what_the_run_has_started_ends_with_it(start):
    run = start(f"child = subprocess.Popen(['sleep', '600']); print(child.pid, flush=True); {GIL}", left_s=1.0)
    _, child = map(int, run.communicate()[0].split())
    assert ends(child)


def ends(process: int) -> bool:
    """Within ten seconds."""
    try:
        descriptor = os.pidfd_open(process)
    except ProcessLookupError:
        return True
    ended = bool(select.select([descriptor], [], [], 10.0)[0])
    os.close(descriptor)
    return ended


def status(process: int) -> str:
    path = Path(f"/proc/{process}/status")
    return path.read_text() if path.exists() else ""


@pytest.mark.parametrize(("age_s", "words"), [(60.0, 1), (0.0, 0)])
def test_what_has_no_folder_yet_is_kept_count_of_elsewhere(start, tmp_path, age_s, words):
    run = start(FOREVER, age_s=age_s, ledger=False)
    _, said = run.communicate()
    unbilled = tmp_path / "state" / "tina-lite" / "unbilled.jsonl"
    found = lines(unbilled) if unbilled.exists() else []
    assert len(found) == words == said.count("are on no run's bill")
    for word in found:
        assert word["usd"] == pytest.approx(word["seconds"])
        assert word["seconds"] > age_s
        assert word["folder"] == str(tmp_path / "run")


def test_a_folder_that_a_start_takes_away_again_is_not_made_anew(start, tmp_path):
    run = start("pass\nmeter.close()\nimport shutil; shutil.rmtree('run')", age_s=30.0, left_s=600)
    assert "unbilled.jsonl keeps count of them" in run.communicate()[1]
    assert not (tmp_path / "run").exists()


def test_a_disk_that_does_not_answer_leaves_word_elsewhere(start, tmp_path):
    run = start(f"os.rename('run', 'gone'); os.mkdir('run'); os.mkdir('run/ledger.jsonl'); {FOREVER}", age_s=30.0)
    assert "unbilled.jsonl keeps count of them" in run.communicate()[1]
    (word,) = lines(tmp_path / "state" / "tina-lite" / "unbilled.jsonl")
    assert word["seconds"] > 30


@pytest.mark.parametrize("end", ["leave(0)", "sys.exit(0)", "guard.stand_down(); time.sleep(0.5)"])
def test_a_run_that_closes_its_bill_in_time_is_let_be(start, tmp_path, end):
    run = start(f"pass\nmeter.close()\n{end}")
    said = run.communicate()
    assert (run.returncode, said[1]) == (0, "")
    assert [line["kind"] for line in lines(tmp_path / "run" / "ledger.jsonl")] == ["start", "end"]
    assert ends(int(said[0]))


def test_what_holds_a_process_at_its_end_is_on_the_bill_and_ends_in_time(start, tmp_path):
    run = start("pass\nimport atexit\natexit.register(time.sleep, 600)\nmeter.close()\nleave(7)", left_s=2.0)
    run.communicate()
    assert run.returncode == 7, "it was done"
    *_, own, last = lines(tmp_path / "run" / "ledger.jsonl")
    assert own["elapsed_s"] + 0.5 < last["elapsed_s"]
    (bill,) = read_bills(tmp_path / "run" / "ledger.jsonl")
    assert bill.seconds == pytest.approx(last["elapsed_s"])


def test_a_machine_that_sleeps_over_the_limit_is_given_the_time_to_save(start, tmp_path):
    save = "signal.signal(signal.SIGTERM, lambda *_: (Path('saved').touch(), meter.close(), os._exit(143)))"
    # In short sleeps: the signal may come to another thread, which does not wake this one (38 of 60 times, if stopped).
    run = start(f"{save}; print('can save', flush=True)\n    while True: time.sleep(0.05)", left_s=1.5)
    watchdog = int(run.stdout.readline())
    run.stdout.readline()
    both = (run.pid, watchdog)
    for process in both:
        os.kill(process, signal.SIGSTOP)
    with pytest.raises(subprocess.TimeoutExpired):
        run.wait(2.5)
    for process in reversed(both):
        os.kill(process, signal.SIGCONT)
    run.communicate(timeout=GRACE_S)
    assert run.returncode == 143
    assert (tmp_path / "saved").exists()


def test_it_is_small(start):
    run = start(FOREVER, left_s=600)
    (kilobytes,) = re.findall(r"VmRSS:\s+(\d+) kB", status(int(run.stdout.readline())))
    run.kill()
    run.communicate()
    assert int(kilobytes) < 20_000
