"""Whatever ends the loop: the last whole step is saved, and what goes on is the run that nothing happened to."""

import errno
import shutil
import signal
from pathlib import Path

import pytest
from whole_runs import STEPS, after_step, assert_alike, lines, metrics, stateful, summary_of

from tina_lite import Recipe, load_recipe, run
from tina_lite.runs.checkpoint import newest
from tina_lite.runs.events import Progress, StepDone
from tina_lite.util.errors import BadInput, Interrupted, NoRoom

CORE = {
    "tina_lite.train.collect.score",
    "Learner._step-done",
    "NativePolicy.sync-done",
    "CheckpointManager.save_when_due-done",
}
"""Of all places those that are tried by `make test`: before, in and after an update, and after a step."""


class Boom(Exception):
    """A fault of our own."""


def slow(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


def failing_at_step(monkeypatch, owner: object, name: str, step: int, error: Exception, *, after: bool = False) -> None:
    """`owner.name` fails once, before or after its work, once so many steps are whole."""
    from tina_lite.runs.checkpoint_manager import CheckpointManager

    real, snapshot, state = getattr(owner, name), CheckpointManager.snapshot, {"steps": 0, "failed": False}

    def wrapped(*arguments, **others):
        due = state["steps"] == step and not state["failed"]
        if due and not after:
            state["failed"] = True
            raise error
        given = real(*arguments, **others)
        if due:
            state["failed"] = True
            raise error
        return given

    def count(checkpoints) -> None:
        snapshot(checkpoints)
        state["steps"] = checkpoints._session.state.step

    monkeypatch.setattr(owner, name, wrapped)
    monkeypatch.setattr(CheckpointManager, "snapshot", count)


def places() -> list:
    """Every call that the loop makes: where, whether the work was done before it failed, steps that are whole then."""
    from tina_lite import grpo
    from tina_lite.budget import Meter
    from tina_lite.budget.limits import Deadlines, StepForecast
    from tina_lite.data import PromptSource
    from tina_lite.policy.native import NativePolicy
    from tina_lite.rewards import BrokenRewards
    from tina_lite.rollout.sampler import Sampler
    from tina_lite.runs.checkpoint_manager import CheckpointManager
    from tina_lite.runs.folder import RunFolder
    from tina_lite.runs.state import RunState
    from tina_lite.train import collect as collector
    from tina_lite.train import recorder
    from tina_lite.train.alarms import HealthWatch
    from tina_lite.train.learner import Learner
    from tina_lite.train.schedule import Schedule

    found = [
        (PromptSource, "next", True, 2),
        (Sampler, "rollout", False, 2),
        (Sampler, "rollout", True, 2),
        (collector, "score", False, 2),
        (BrokenRewards, "after", True, 2),
        (grpo, "advantages", False, 2),
        (grpo, "learning_rate", False, 2),
        (Schedule, "at", False, 2),
        (Learner, "update", False, 2),
        (Learner, "_backward", True, 2),
        (Learner, "_clip_gradients", True, 2),
        (Learner, "_step", True, 2),
        (Learner, "update", True, 2),
        (NativePolicy, "sync", False, 2),
        (NativePolicy, "sync", True, 2),
        (RunState, "count", True, 2),
        (StepForecast, "add", True, 2),
        (recorder, "step_metrics", False, 2),
        (HealthWatch, "after_step", True, 2),
        (Deadlines, "eta", False, 2),
        (recorder, "step_samples", False, 2),
        (RunFolder, "keep_samples", True, 2),
        (Meter, "read", False, 2),
        (CheckpointManager, "save_when_due", True, 3),
        (RunFolder, "asked_to_stop", False, 2),
    ]
    names = [f"{place[0].__name__}.{place[1]}{'-done' * place[2]}" for place in found]
    assert set(names) >= CORE
    return [
        pytest.param(*place, id=name, marks=() if name in CORE else pytest.mark.slow)
        for name, place in zip(names, found, strict=True)
    ]


def goes_on_as_if_nothing_had_happened(recipe: Recipe, out: Path, baseline: Path, step: int) -> None:
    saved, damaged = newest(out / "checkpoints")
    assert (saved.step, damaged) == (step, [])
    assert (out / "adapter" / "adapter_model.safetensors").exists()
    assert summary_of(out)["steps"] == step
    assert lines(out / "ledger.jsonl")[-1]["kind"] == "end"
    run(recipe, out=out, resume=True)
    assert_alike(out, baseline)


@pytest.mark.parametrize(("owner", "name", "after", "step"), places())
def test_a_fault_at_any_call_of_the_loop_costs_its_step_alone(
    owner, name, after, step, quick_recipe, tmp_path, baseline, monkeypatch
):
    recipe, out = stateful(quick_recipe), tmp_path / "out"
    with monkeypatch.context() as patch:
        failing_at_step(patch, owner, name, step, Boom("so much"), after=after)
        with pytest.raises(Boom) as caught:
            run(recipe, out=out)
    assert caught.value.__notes__ == [
        f"the traceback is in {out}/error.txt; step {step} is saved, go on with: tina-lite resume {out}"
    ]
    assert "Boom: so much" in (out / "error.txt").read_text()
    goes_on_as_if_nothing_had_happened(recipe, out, baseline, step)


@pytest.mark.parametrize("kind", [StepDone, slow(Progress)])
def test_a_fault_of_a_listener_costs_its_step_alone(kind, quick_recipe, tmp_path, baseline):
    recipe, out, steps = stateful(quick_recipe), tmp_path / "out", []

    def listener(stamped) -> None:
        if isinstance(stamped.event, StepDone):
            steps.append(stamped.event.step)
        if isinstance(stamped.event, kind) and len(steps) == (3 if kind is StepDone else 2):
            raise Boom

    with pytest.raises(Boom):
        run(recipe, out=out, listeners=[listener])
    goes_on_as_if_nothing_had_happened(recipe, out, baseline, 2)


def test_a_disk_that_fills_up_ends_with_what_was_whole(quick_recipe, tmp_path, baseline, monkeypatch):
    from tina_lite.runs import checkpoint

    recipe, out = stateful(quick_recipe), tmp_path / "out"
    full = OSError(errno.ENOSPC, "No space left on device")
    with monkeypatch.context() as patch:
        failing_at_step(patch, checkpoint, "write_file", STEPS, full)
        with pytest.raises(NoRoom, match="No space left on device") as caught:
            run(recipe, out=out)
    assert caught.value.exit_code == 3
    goes_on_as_if_nothing_had_happened(recipe, out, baseline, STEPS)  # there was room again for the second try


@pytest.mark.parametrize(
    ("error", "kind", "code", "said"),
    [
        (MemoryError(), NoRoom, 3, "out of memory"),
        (KeyboardInterrupt(), Interrupted, 128 + signal.SIGINT, "stopped at once; step 2 is saved"),
        slow(RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), NoRoom, 3, "out of memory"),
        slow(OSError(errno.ENOSPC, "No space left on device"), NoRoom, 3, "the disk took no more"),
        slow(BadInput("data.jsonl:7: is no JSON any more"), BadInput, 2, "data.jsonl:7"),
    ],
)
def test_what_ends_a_run_is_told_in_a_line(error, kind, code, said, quick_recipe, tmp_path, baseline, monkeypatch):
    from tina_lite.train import collect as collector

    recipe, out = stateful(quick_recipe), tmp_path / "out"
    with monkeypatch.context() as patch:
        failing_at_step(patch, collector, "score", 2, error)
        with pytest.raises(kind, match=said) as caught:
            run(recipe, out=out)
    assert caught.value.exit_code == code
    assert "\n" not in str(caught.value)
    goes_on_as_if_nothing_had_happened(recipe, out, baseline, 2)


def test_a_reward_that_exits_is_a_reward_that_fails(quick_recipe, tmp_path):
    (tmp_path / "mine.py").write_text("def leaves(completions, **columns):\n    raise SystemExit(3)\n")
    rewards = [{"name": "accuracy"}, {"name": f"{tmp_path}/mine.py:leaves", "on_error": 0.0}]
    summary = run(load_recipe(quick_recipe, {"rewards": rewards}), out=tmp_path / "out")
    assert (summary["steps"], summary["stop_reason"]) == (3, "max_steps")


@pytest.mark.parametrize("all_damaged", [True, slow(False)])
def test_no_step_left_asks_before_it_begins_again(all_damaged, quick_recipe, tmp_path, baseline):
    recipe, out = stateful(quick_recipe), tmp_path / "out"
    shutil.copytree(baseline, out)
    (out / "summary.json").unlink()
    (out / "checkpoints" / "step-000004" / "state.safetensors").write_bytes(b"rubbish")
    if all_damaged:
        (out / "checkpoints" / "step-000000" / "state.json").unlink()
    before, bill = (out / "metrics.jsonl").read_bytes(), (out / "ledger.jsonl").read_bytes()
    with pytest.raises(BadInput, match="--force-restart"):
        run(recipe, out=out, resume=True)
    assert (out / "metrics.jsonl").read_bytes() == before, "nothing is cut off unasked"
    assert (out / "ledger.jsonl").read_bytes() == bill
    run(recipe, out=out, resume=True, force_restart=True)
    assert metrics(out) == metrics(baseline)
    assert {found.name for found in (out / "checkpoints").iterdir()} >= {"step-000004", "damaged-step-000004"}


def test_a_folder_that_is_moved_while_a_run_is_in_it_is_followed(quick_recipe, tmp_path, baseline):
    out, moved = tmp_path / "out", tmp_path / "other" / "moved"
    moved.parent.mkdir()
    summary = run(stateful(quick_recipe), out=out, listeners=[after_step(2, lambda: out.rename(moved))])
    assert summary["folder"] == str(moved)
    assert not out.exists()
    assert_alike(moved, baseline)


def test_a_folder_that_is_removed_while_a_run_is_in_it_leaves_no_stump(quick_recipe, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(
        NoRoom, match=r"out: the run folder was removed while the run was in it; what it learnt is lost"
    ):
        run(stateful(quick_recipe), out=out, listeners=[after_step(2, lambda: shutil.rmtree(out))])
    assert not out.exists()
