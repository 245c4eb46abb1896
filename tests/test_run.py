"""A run from end to end on the tiny base: its folder, its repeatability, its ends."""

import json
import os
import shutil
import signal
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from fakes import wound_clock
from whole_runs import Killed, adapter, after_step, assert_alike, die, lines, metrics, same, stateful, summary_of

from tina_lite import load_recipe, reward, run
from tina_lite.cli.runs import stop
from tina_lite.eval.samples import SampleFile
from tina_lite.recipe import with_local_paths
from tina_lite.runs.events import CheckpointSaved, Evaluated, LogLine, RunFinished
from tina_lite.runs.metrics import metric_names
from tina_lite.util.disk import UMASK
from tina_lite.util.errors import BadInput, Interrupted, NoRoom


def test_a_run_leaves_all_that_it_promised(quick_recipe, tmp_path):
    recipe = load_recipe(quick_recipe, {"eval.benchmarks": ["held_out"], "eval.problems": 12, "eval.samples": 2})
    seen = []
    summary = run(recipe, out=tmp_path / "out", listeners=[seen.append])
    out = tmp_path / "out"
    assert {path.name for path in out.iterdir()} >= {
        "recipe.yaml", "events.jsonl", "metrics.jsonl", "samples.jsonl", "ledger.jsonl",
        "checkpoints", "adapter", "summary.json",
    }  # fmt: skip
    assert json.loads((out / "summary.json").read_text()) == json.loads(json.dumps(summary))
    assert summary["stop_reason"] == "max_steps"
    assert summary["steps"] == 3
    assert summary["per_dollar"]["tokens"] == pytest.approx(summary["tokens"]["completion"] / summary["usd"])
    for when in ("before", "after"):
        figures = summary["eval"][when]
        assert figures["problems"] == 12
        assert figures["ci95"][0] <= figures["pass_at_1"] <= figures["ci95"][1]
    assert sum(summary["usd_by_phase"].values()) == pytest.approx(summary["usd"])
    assert summary["usd"] == pytest.approx(summary["gpu_hours"] * 0.20)
    assert [row["step"] for row in lines(out / "metrics.jsonl")] == [1, 2, 3]
    wanted = ("reward rewards/accuracy/mean rewards/format/mean grad_norm loss learning_rate usd frac_reward_zero_std "
              "completions/mean_length num_tokens tokens_per_second peak_bytes usd_at_end")  # fmt: skip
    assert set(wanted.split()) <= lines(out / "metrics.jsonl")[0].keys()
    known = {"step", *metric_names(["accuracy", "format"])}
    assert [row.keys() - known for row in metrics(out)] == [set()] * 3
    assert len(lines(out / "samples.jsonl")) == 3 * 4
    ledger = lines(out / "ledger.jsonl")
    assert (ledger[0]["kind"], ledger[-1]["kind"]) == ("start", "end")
    assert ledger[-1]["elapsed_s"] == pytest.approx(summary["gpu_hours"] * 3600, abs=1.0)
    assert json.loads((out / "adapter" / "adapter_config.json").read_text())["r"] == 8
    assert "held-out Pass@1" in (out / "adapter" / "README.md").read_text()
    files = [path for path in out.rglob("*") if path.is_file() and path.name != ".lock"]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o666 & ~UMASK}, "who may read them, the umask says"
    assert load_recipe(out / "recipe.yaml").model_dump() == with_local_paths(recipe).model_dump()
    assert seen[0].event.event == "run_started"
    assert seen[-1].event.event == "run_finished"
    assert all(later.usd >= earlier.usd for earlier, later in pairwise(seen))


def test_the_same_seed_gives_the_same_run_and_another_does_not(quick_recipe, tmp_path, baseline):
    for name, seed in (("again", 1), ("other", 2)):
        run(stateful(quick_recipe, seed=seed), out=tmp_path / name)
    assert_alike(tmp_path / "again", baseline)
    assert metrics(tmp_path / "other") != metrics(baseline)


@pytest.mark.parametrize("step", [1, 3])
def test_a_killed_run_resumes_exactly(quick_recipe, tmp_path, baseline, step):
    """What a process that is killed leaves is its folder as it was then: one step behind a checkpoint, or two."""
    recipe, out, killed = stateful(quick_recipe, **{"checkpoint.every_steps": 2}), tmp_path / "out", tmp_path / "killed"
    with pytest.raises(Killed):
        run(recipe, out=out, listeners=[after_step(step, lambda: (shutil.copytree(out, killed), die()))])
    assert [row["step"] for row in metrics(killed)] == list(range(1, step + 1))
    run(recipe, out=killed, resume=True)
    assert_alike(killed, baseline)
    assert {row["session"] for row in lines(killed / "ledger.jsonl")} == {1, 2}


def test_a_figure_that_was_measured_is_measured_once(quick_recipe, tmp_path, monkeypatch):
    """Of eight figures: killed behind one, a run measures the others, and ends the same. Seven runs, 8 s."""
    rows = [{"question": f"{n}+{n}=", "answer": str(2 * n)} for n in range(6)]
    (tmp_path / "doubles.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    benchmarks = ["held_out", str(tmp_path / "doubles.jsonl")]
    evaluated = {"benchmarks": benchmarks, "problems": 3, "samples": 1, "every": 1, "best": True}
    changes = {"stop.max_steps": 3, "checkpoint.every_steps": 2, "eval": evaluated, "rollout.max_completion_length": 8}
    recipe = load_recipe(quick_recipe, changes)
    whole = run(recipe, out=tmp_path / "whole")
    figures = [(row["when"], row["step"], row["benchmark"]) for row in lines(tmp_path / "whole" / "figures.jsonl")]
    assert len(figures) == 8
    for number in (1, 6, 7):
        out, killed = tmp_path / f"out{number}", tmp_path / f"killed{number}"
        told = iter(range(1, 10))

        def listener(stamped, out=out, killed=killed, told=told, number=number):
            if isinstance(stamped.event, Evaluated) and next(told) == number:
                shutil.copytree(out, killed)
                die()

        with pytest.raises(Killed):
            run(recipe, out=out, listeners=[listener])
        assert len(lines(killed / "figures.jsonl")) == number
        summary = run(recipe, out=killed, resume=True)
        kept = [(row["when"], row["step"], row["benchmark"]) for row in lines(killed / "figures.jsonl")]
        assert kept == figures, "one was measured twice, or never"
        assert_alike(killed, tmp_path / "whole")
        assert summary["best_eval"]["step"] == whole["best_eval"]["step"]


@pytest.mark.parametrize("number", [2, 5])
def test_a_completion_of_an_evaluation_is_sampled_once(quick_recipe, tmp_path, baseline, monkeypatch, number):
    """Killed amid its first evaluation, a run asks for the rest, and ends the same."""
    out, killed, keep, calls = tmp_path / "out", tmp_path / "killed", SampleFile.keep, iter(range(1, 100))

    def dies(self, *arguments):
        keep(self, *arguments)
        if next(calls) == number:
            shutil.copytree(out, killed)
            die()

    with monkeypatch.context() as patched:
        patched.setattr(SampleFile, "keep", dies)
        with pytest.raises(Killed):
            run(stateful(quick_recipe), out=out)
    [file] = killed.glob("evals/before-000000/*.jsonl")
    first = file.read_text()
    assert first.count("\n") == number
    run(stateful(quick_recipe), out=killed, resume=True)
    assert file.read_text().startswith(first)
    assert completions_of(killed) == completions_of(baseline)
    assert_alike(killed, baseline)


def completions_of(folder):
    """Of its evaluations, whatever the order in which they ended."""
    files = sorted(folder.glob("evals/*/*.jsonl"))
    rows = [
        (file.parent.name, row["problem"], row["sample"], row["completion"]) for file in files for row in lines(file)
    ]
    assert rows
    return sorted(rows)


def test_resume_passes_over_a_damaged_checkpoint(quick_recipe, tmp_path, baseline):
    recipe, out = stateful(quick_recipe, **{"checkpoint.every_steps": 1}), tmp_path / "out"
    with pytest.raises(Killed):
        run(recipe, out=out, listeners=[after_step(3, die)])
    (out / "checkpoints" / "step-000002" / "state.safetensors").write_bytes(b"rubbish")
    seen = []
    run(recipe, out=out, resume=True, listeners=[seen.append])
    said = [stamped.event.text for stamped in seen if isinstance(stamped.event, LogLine)]
    assert any("step-000002 is damaged" in text for text in said)
    assert_alike(out, baseline)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_says_its_code_and_the_run_goes_on_exactly(quick_recipe, tmp_path, baseline, number, code):
    recipe, out, seen = stateful(quick_recipe), tmp_path / "out", []
    with pytest.raises(Interrupted) as caught:
        run(recipe, out=out, listeners=[seen.append, after_step(2, lambda: os.kill(os.getpid(), number))])
    assert caught.value.exit_code == code
    assert (summary_of(out)["stop_reason"], summary_of(out)["steps"]) == ("interrupted", 2)
    said = [one.event.text for one in seen if isinstance(one.event, LogLine)]
    assert any(text.startswith(signal.Signals(number).name) for text in said)
    seen = []
    run(recipe, out=out, resume=True, listeners=[seen.append])
    assert seen[0].event.resumed_from_step == 2
    assert_alike(out, baseline)


def test_a_run_that_is_asked_to_stop_ends_after_its_step_and_goes_on_exactly(quick_recipe, tmp_path, baseline):
    def ask():
        assert CliRunner().invoke(stop, [str(out)], catch_exceptions=False).exit_code == 0

    recipe, out = stateful(quick_recipe), tmp_path / "out"
    summary = run(recipe, out=out, listeners=[after_step(2, ask)])
    assert (summary["stop_reason"], summary["steps"]) == ("stop_file", 2)
    assert run(recipe, out=out, resume=True)["stop_reason"] == "max_steps"
    assert same(adapter(out), adapter(baseline))


def test_a_wish_to_stop_that_comes_too_late_is_none_for_the_next_session(quick_recipe, tmp_path):
    def ask(stamped):
        if isinstance(stamped.event, RunFinished):
            (tmp_path / "out" / "STOP").touch()

    assert run(load_recipe(quick_recipe), out=tmp_path / "out", listeners=[ask])["stop_reason"] == "max_steps"
    assert not (tmp_path / "out" / "STOP").exists()


def test_a_wish_to_stop_of_a_session_that_was_killed_is_none_for_the_next(quick_recipe, tmp_path):
    recipe, out = stateful(quick_recipe), tmp_path / "out"
    run(recipe, out=out, listeners=[after_step(2, (out / "STOP").touch)])
    (out / "STOP").touch()
    assert run(recipe, out=out, resume=True)["stop_reason"] == "max_steps"


def test_resuming_a_changed_recipe_names_the_change(quick_recipe, baseline):
    with pytest.raises(BadInput, match=r"has changed: lora\.r 8 -> 4;"):
        run(stateful(quick_recipe, **{"lora.r": 4}), out=baseline, resume=True)


def test_resuming_a_finished_run_trains_nothing_more(quick_recipe, tmp_path, baseline):
    shutil.copytree(baseline, tmp_path / "out")
    run(stateful(quick_recipe), out=tmp_path / "out", resume=True)
    assert_alike(tmp_path / "out", baseline)


def test_a_budget_too_small_to_start_is_refused_before_anything_is_written(quick_recipe, tmp_path):
    with pytest.raises(NoRoom, match="max-usd"):
        run(load_recipe(quick_recipe, {"budget.max_usd": 1e-6}), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_budget_ends_a_run_before_it_is_passed(quick_recipe, tmp_path, monkeypatch):
    """By a clock that updates alone wind on, a second each, at a dollar a second."""
    from tina_lite.train.learner import Learner

    wind, update = wound_clock(monkeypatch), Learner.update

    def updated(*arguments, **others):
        wind(1.0)
        return update(*arguments, **others)

    monkeypatch.setattr(Learner, "update", updated)
    recipe = load_recipe(quick_recipe, {"stop.max_steps": 10_000, "budget.max_usd": 14.0})
    summary = run(recipe, out=tmp_path / "out", rate=3600.0)
    assert summary["stop_reason"] == "max_usd"
    assert summary["steps"] >= 3
    assert lines(tmp_path / "out" / "ledger.jsonl")[-1]["elapsed_s"] <= 14.0


def test_a_limit_of_tokens_binds_in_the_first_step_and_in_the_last(quick_recipe, tmp_path):
    run(load_recipe(quick_recipe), out=tmp_path / "free")
    first, *_, last = (row["num_tokens"] for row in metrics(tmp_path / "free"))
    with pytest.raises(NoRoom, match=r"^max_tokens is too small for one step: raise it"):
        run(load_recipe(quick_recipe, {"stop.max_tokens": 20}), out=tmp_path / "20")
    assert summary_of(tmp_path / "20")["steps"] == 0
    for limit in (first, last - 1):
        summary = run(load_recipe(quick_recipe, {"stop.max_tokens": limit}), out=tmp_path / str(limit))
        assert summary["stop_reason"] == "max_tokens"
        assert summary["steps"] >= 1
        assert summary["tokens"]["prompt"] + summary["tokens"]["completion"] <= limit


def test_a_folder_with_another_run_is_left_alone(quick_recipe, baseline):
    before = {path: path.stat().st_mtime_ns for path in baseline.rglob("*")}
    with pytest.raises(BadInput, match="--resume"):
        run(load_recipe(quick_recipe), out=baseline)
    assert {path: path.stat().st_mtime_ns for path in baseline.rglob("*")} == before


def test_the_users_own_reward_runs_and_a_broken_one_is_counted(quick_recipe, tmp_path):
    @reward("first_digit")
    def first_digit(completions, answer, **columns):
        return [float(c[0]["content"][:1].isdigit()) for c in completions]

    file = tmp_path / "mine.py"
    file.write_text("def broken(completions, **columns):\n    raise RuntimeError('no such luck')\n")
    rewards = [{"name": "first_digit"}, {"name": f"{file}:broken", "on_error": 0.0}]
    seen = []
    summary = run(load_recipe(quick_recipe, {"rewards": rewards}), out=tmp_path / "out", listeners=[seen.append])
    assert 0 < summary["reward"]["best"] <= 1
    said = [stamped.event.text for stamped in seen if isinstance(stamped.event, LogLine)]
    assert any("failed on 16 completions" in text and "no such luck" in text for text in said)


def test_checkpoints_are_kept_by_number(quick_recipe, tmp_path):
    seen = []
    recipe = load_recipe(quick_recipe, {"stop.max_steps": 4, "checkpoint": {"every_steps": 1, "keep": 2}})
    run(recipe, out=tmp_path / "out", listeners=[seen.append])
    assert sorted(path.name for path in (tmp_path / "out" / "checkpoints").iterdir()) == ["step-000003", "step-000004"]
    assert [s.event.step for s in seen if isinstance(s.event, CheckpointSaved)] == [1, 2, 3, 4]


def test_the_best_checkpoint_by_pass_at_1_outlives_newer_ones(quick_recipe, tmp_path, monkeypatch):
    from tina_lite.eval.evaluator import Evaluator

    figures, real = {1: 0.2, 2: 0.9, 3: 0.5, 4: 0.9}, Evaluator._again
    monkeypatch.setattr(
        Evaluator,
        "_again",
        lambda self, name, reserve_s: replace(real(self, name, reserve_s), pass_at_1=figures.get(self._step, 0.0)),
    )
    evaluated = {"benchmarks": ["held_out"], "problems": 2, "samples": 1, "every": 1}
    changes = {"stop.max_steps": 5, "checkpoint": {"every_steps": 3, "keep": 1}, "eval": evaluated}
    run(load_recipe(quick_recipe, changes), out=tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out" / "checkpoints").iterdir()) == ["step-000002", "step-000005"]


@pytest.mark.parametrize("last", [0.3, 0.95])
def test_the_adapter_of_the_best_evaluation_is_kept(quick_recipe, tmp_path, monkeypatch, last):
    from tina_lite.eval.evaluator import Evaluator

    figures, real = {1: 0.2, 2: 0.9, 3: 0.5, 4: last}, Evaluator._again
    monkeypatch.setattr(
        Evaluator, "_again", lambda self, *arguments: replace(real(self, *arguments), pass_at_1=figures[self._step])
    )
    evaluated = {"benchmarks": ["held_out"], "problems": 2, "samples": 1, "every": 1, "best": True}
    changes = {"stop.max_steps": 4, "eval": evaluated}
    summary = run(load_recipe(quick_recipe, changes), out=tmp_path / "out")
    step = 4 if last > 0.9 else 2
    best = tmp_path / "out" / "adapter-best"
    assert summary["best_eval"] == {"step": step, "pass_at_1": figures[step], "adapter": str(best)}
    assert same(adapter(tmp_path / "out", best.name), adapter(tmp_path / "out")) == (step == 4)
    with pytest.raises(BadInput, match=r"eval\.best: needs eval\.every"):
        load_recipe(quick_recipe, {"eval.best": True})


def test_evaluations_without_a_gain_beyond_noise_end_a_run(quick_recipe, tmp_path, monkeypatch):
    from tina_lite.eval.evaluator import Evaluator

    figures, real = {1: 0.3, 2: 0.31, 3: 0.5, 4: 0.52, 5: 0.48, 6: 0.9}, Evaluator._again

    def again(self, *arguments):
        share = figures[self._step]
        return replace(real(self, *arguments), pass_at_1=share, ci95=(share - 0.1, share + 0.1))

    monkeypatch.setattr(Evaluator, "_again", again)
    evaluated = {"benchmarks": ["held_out"], "problems": 2, "samples": 1, "every": 1}
    changes = {"stop.max_steps": 6, "stop.eval_patience": 2, "eval": evaluated}
    summary = run(load_recipe(quick_recipe, changes), out=tmp_path / "out")
    assert (summary["steps"], summary["stop_reason"]) == (5, "eval_patience"), "0.52 and 0.48 are no gain over 0.5"


def test_a_temperature_of_0_is_refused_as_nothing_could_be_learnt(quick_recipe):
    with pytest.raises(BadInput, match=r"rollout\.temperature"):
        load_recipe(quick_recipe, {"rollout.temperature": 0.0})


def test_rewards_without_variance_cost_no_update(quick_recipe, tmp_path):
    (tmp_path / "mine.py").write_text("def alike(completions, **columns):\n    return [1.0 for _ in completions]\n")
    run(load_recipe(quick_recipe, {"rewards": [f"{tmp_path}/mine.py:alike"]}), out=tmp_path / "out")
    for row in metrics(tmp_path / "out"):
        assert (row["skipped_groups"], row["frac_reward_zero_std"], row["grad_norm"]) == (4, 1.0, 0.0)
        assert "entropy" not in row


def test_groups_without_variance_give_way_to_fresh_problems(quick_recipe, tmp_path):
    plain, resampled = (
        run(
            load_recipe(quick_recipe, {"rollout.resample_zero_variance": times, "rewards": ["accuracy"]}),
            out=tmp_path / str(times),
        )
        for times in (0, 3)
    )
    flat = [row["frac_reward_zero_std"] for row in metrics(tmp_path / "0")]
    fewer = [row["frac_reward_zero_std"] for row in metrics(tmp_path / "3")]
    assert flat[0] > fewer[0], "the first step has the same prompts: fresh ones must have helped"
    assert resampled["tokens"]["completion"] > plain["tokens"]["completion"], "what was thrown away is counted"


def test_a_tracker_listens_to_a_run_and_one_that_fails_does_not_stop_it(
    quick_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from tina_lite.track import backends

    def no_network(beginning: object) -> object:
        raise ConnectionError("no network")

    monkeypatch.setitem(backends._TRACKERS, "wandb", no_network)
    monkeypatch.setattr("tina_lite.track.find_spec", lambda name: SimpleNamespace(origin=name))
    recipe = load_recipe(quick_recipe, {"track": ["tensorboard", "wandb"]})
    summary = run(recipe, out=tmp_path / "run")
    assert summary["steps"] == 3
    board = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    board.Reload()
    assert [event.step for event in board.Scalars("train/rewards/accuracy/mean")] == [1, 2, 3]
    said = [event["text"] for event in lines(tmp_path / "run" / "events.jsonl") if event["event"] == "notice"]
    failed = "track: wandb failed, and the run goes on without it: ConnectionError: no network"
    assert said.count(failed) == summary["warnings"].count(failed) == 1
