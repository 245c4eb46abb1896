"""A resume costs nothing that it need not, and makes nothing poorer."""

import fcntl
import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from fakes import FakeClock, wound_clock
from whole_runs import STEPS, adapter, lines, same, stateful, summary_of

from tina_lite import load_recipe, run
from tina_lite.budget import Meter, Rate, meter, read_bills
from tina_lite.budget.limits import Limits
from tina_lite.launch.resume import refuse_used_up
from tina_lite.runs.checkpoint import newest
from tina_lite.runs.events import Evaluated, PhaseChanged
from tina_lite.runs.folder import RunFolder
from tina_lite.util.errors import BadInput, Interrupted, NothingLeft


@pytest.fixture
def finished(baseline, tmp_path, monkeypatch) -> Path:
    """A run that has ended, in the folder `out` of the working directory."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(baseline, tmp_path / "out")
    return tmp_path / "out"


def bill(path: Path, *seconds: float, rate: float = 3600.0) -> Path:
    """A ledger of sessions that loaded for 4 s and ran for so long in all."""
    rows = []
    for number, total in enumerate(seconds, start=1):
        phases = {"load": 4.0, "rollout": total - 4.0}
        rows += [
            {"kind": "start", "session": number, "elapsed_s": 0.1, "rate": rate, "heartbeat_s": 5.0},
            {"kind": "end", "session": number, "elapsed_s": total, "seconds_by_phase": phases},
        ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (Limits(max_usd=35.0), r"\$30\.00 of max_usd \$35\.00 are spent, .* 9 s .*: --max-usd X$"),
        (Limits(max_usd=24.0), r"\$30\.00 of max_usd \$24\.00 are spent"),
        (Limits(max_hours=31 / 3600), r"0\.01 h of max_hours 0\.00861\S* are billed, .*--max-hours X$"),
    ],
)
def test_a_budget_that_does_not_pay_for_going_on_is_one_line(tmp_path, limits, said):
    path = bill(tmp_path / "ledger.jsonl", 20.0, 10.0)
    bills = read_bills(path)
    before = path.read_bytes()
    reading = Meter.in_memory(Rate(3600.0, "test"), FakeClock(), earlier=bills).read()
    with pytest.raises(NothingLeft, match=said) as caught:
        refuse_used_up(tmp_path, limits, reading, bills)
    assert caught.value.exit_code == 0
    assert path.read_bytes() == before
    refuse_used_up(tmp_path, Limits(max_usd=45.0), reading, bills)
    refuse_used_up(tmp_path, Limits(), reading, bills)


def test_until_it_works_ends_at_its_first_try_on_a_used_up_budget(finished, tina):
    """Killed just before its end: no summary, and a bill that leaves a second."""
    out = finished
    (out / "summary.json").unlink()
    kept = out / "recipe.yaml"
    kept.write_text(kept.read_text().replace("max_usd: 1.0", "max_usd: 30.0").replace("rate: 0.2", "rate: 3600.0"))
    bill(out / "ledger.jsonl", 29.0)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file() and path.name != ".lock"}
    done = tina("run", "out/recipe.yaml", "--resume", "--out", "out", "--plain")
    assert done.code == 0, "`until tina-lite run ...; do :; done` has its end"
    (line,) = done.err.splitlines()
    assert line.startswith(
        "out: nothing is left to do: $29.00 of max_usd $30.00 are spent, and going on would take 9 s"
    )
    assert {path: path.read_bytes() for path in before} == before


def test_a_finished_run_is_not_made_poorer_by_a_session_that_came_no_further(quick_recipe, finished):
    kept = {name: (finished / name).read_bytes() for name in ("summary.json", "adapter/README.md")}
    weights = adapter(finished)

    def leave(stamped) -> None:
        if isinstance(stamped.event, PhaseChanged) and stamped.event.phase == "rollout":
            os.kill(os.getpid(), 15)

    more = stateful(quick_recipe, **{"stop.max_steps": STEPS + 1})
    with pytest.raises(Interrupted):
        run(more, out=finished, resume=True, force_recipe=True, listeners=[leave])
    assert {name: (finished / name).read_bytes() for name in kept} == kept
    assert same(adapter(finished), weights)
    seen = []
    summary = run(more, out=finished, resume=True, listeners=[lambda stamped: seen.append(stamped.event)])
    assert summary["steps"] == STEPS + 1, "it goes on, though a summary of an ended run stands there"
    assert summary_of(finished)["eval"]["after"] is not None
    assert [event.when for event in seen if isinstance(event, Evaluated)] == ["after"]


@pytest.mark.parametrize("older", [False, True], ids=["of now", "of 0.1.0, which counted no sessions"])
def test_a_finished_run_costs_nothing_more(finished, tina, older):
    if older:
        summary = summary_of(finished)
        del summary["session"]
        (finished / "summary.json").write_text(json.dumps(summary))
    before = (finished / "ledger.jsonl").read_bytes()
    done = tina("resume", "out", "--plain")
    assert (done.code, done.err) == (0, "out: has ended (max steps); there is nothing left to do\n")
    assert (finished / "ledger.jsonl").read_bytes() == before


def test_a_limit_that_is_passed_costs_nothing_and_a_flag_raises_one(finished, tina):
    out, tokens = finished, summary_of(finished)["tokens"]
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file() and path.name != ".lock"}
    used = tokens["prompt"] + tokens["completion"]
    for flags, said in (
        (("--max-steps", "2"), "4 of max_steps 2 are used; for more of it: --max-steps N"),
        (
            ("--max-steps", "9", "--max-tokens", str(used)),
            f"{used:,} of max_tokens {used:,} are used; for more of it: --max-tokens N",
        ),
    ):
        done = tina("resume", "out", "--plain", *flags)
        assert (done.code, done.err) == (0, f"out: nothing is left to do: {said}\n")
    done = tina("resume", "out", "--plain", "--set", "stop.max_steps=5")
    assert done.code == 2
    assert "stop.max_steps 4 -> 5; add --force-recipe" in done.err, "of a field, as of an edited file, it is asked"
    done = tina("resume", "out", "--plain", "--max-steps", "5", "--set", "seed=7")
    assert done.code == 2
    assert "the recipe has changed: seed 1 -> 7" in done.err
    assert {path: path.read_bytes() for path in before} == before
    assert tina("resume", "out", "--plain", "--max-steps", "5", "--max-usd", "2").code == 0
    assert summary_of(out)["steps"] == 5


def test_the_first_step_after_a_resume_is_forecast(quick_recipe, finished):
    out = finished
    saved, _ = newest(out / "checkpoints")
    timings = saved.state["timings"]
    assert len(timings["steps"]) == STEPS
    assert timings["update"] > 0
    recipe = stateful(quick_recipe, **{"stop.max_steps": 9, "budget.max_usd": 3600.0, "budget.rate": 3600.0})
    path = out / "checkpoints" / f"step-{STEPS:06}"
    state = json.loads((path / "state.json").read_text())
    state["timings"]["steps"] = [4000.0]
    rewrite(path, state)
    summary = run(recipe, out=out, resume=True, force_recipe=True)
    assert (summary["steps"], summary["stop_reason"]) == (STEPS, "max_usd"), "a step of 4000 s does not fit"


def rewrite(path: Path, state: object) -> None:
    from hashlib import sha256

    (path / "state.json").write_text(json.dumps(state))
    sums = {name: sha256((path / name).read_bytes()).hexdigest() for name in ("state.safetensors", "state.json")}
    (path / "manifest.json").write_text(json.dumps(sums))


def test_two_runs_of_a_name_that_start_together_get_a_folder_each(quick_recipe, tmp_path, monkeypatch):
    """Both find runs/quick free while they check their input; one makes it first."""
    monkeypatch.chdir(tmp_path)
    from tina_lite import launch
    from tina_lite.launch.check import check

    recipe = load_recipe(quick_recipe, {"stop.max_steps": 1})
    one, other = check(recipe), check(recipe)
    assert one.path == other.path
    folders = [launch.train(checked)["folder"] for checked in (one, other)]
    assert folders == ["runs/quick", "runs/quick-2"]
    with pytest.raises(BadInput, match="holds another run"):
        run(recipe, out="runs/quick")


def test_several_runs_of_a_process_bill_each_its_own_time(monkeypatch):
    wind = wound_clock(monkeypatch, age_s=100.0)
    meter.begin_run()
    first = meter.ProcessClock()
    assert first.elapsed_s() == 100.0, "from the start of the process"
    wind(50.0)
    meter.end_run()
    wind(10.0)
    meter.begin_run()
    assert meter.ProcessClock().elapsed_s() == 10.0, "from the end of the one before"
    assert first.elapsed_s() == 160.0
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    meter.begin_run()
    assert meter.ProcessClock().elapsed_s() == 0.0, "a notebook that was open all night pays for what was called"


def test_a_file_system_without_locks_is_no_lock_of_another(tmp_path, monkeypatch):
    def no_locks(descriptor: int, how: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    RunFolder.create(tmp_path / "run", "name: run\n").close()


def test_a_child_that_a_reward_forks_does_not_keep_the_lock(tmp_path):
    """The run dies, the child lives on."""
    folder = RunFolder.create(tmp_path / "run", "name: run\n")
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(write_end)
        os.read(read_end, 1)
        os._exit(0)
    folder.close()
    again = RunFolder.reopen(tmp_path / "run")
    again.close()
    os.close(write_end)
    os.waitpid(child, 0)
    assert lines(tmp_path / "run" / "events.jsonl") == []
