"""What a resumed run must have in common with the one that it goes on with, beside the recipe."""

import json
import math
import re
import shutil
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from fakes import wound_clock

import tina_lite
from tina_lite import load_recipe, run
from tina_lite.runs.checkpoint import newest
from tina_lite.runs.events import LogLine
from tina_lite.runs.identity import NOT_KEPT, Identity
from tina_lite.train.learner import Learner
from tina_lite.util.errors import BadInput
from tina_lite.version import VERSION


def rows(path: Path, count: int, first: int = 0, level: int = 1) -> None:
    """`level`, another column, is that of the last row alone."""
    found = [{"question": f"What is {n}+1?", "answer": str(n + 1), "level": 1} for n in range(first, first + count)]
    found[-1]["level"] = level
    path.write_text("".join(json.dumps(row) + "\n" for row in found))


def notices(seen: list) -> list[str]:
    return [stamped.event.text for stamped in seen if isinstance(stamped.event, LogLine)]


@pytest.mark.parametrize(
    ("count", "first", "level", "said"),
    [
        (41, 0, 1, "40 problems then, 41 now"),
        (40, 1, 1, "40 problems, but not the same"),
        (40, 0, 2, "40 problems, but not the same"),
    ],
)
def test_changed_data_are_refused(quick_recipe, tmp_path, count, first, level, said):
    rows(tmp_path / "mine.jsonl", 40)
    changes = {"data": {"source": str(tmp_path / "mine.jsonl")}, "stop.max_steps": 1}
    run(load_recipe(quick_recipe, changes), out=tmp_path / "out")
    bill = (tmp_path / "out" / "ledger.jsonl").read_bytes()
    rows(tmp_path / "mine.jsonl", count, first, level)
    more = load_recipe(quick_recipe, {**changes, "stop.max_steps": 2})
    with pytest.raises(BadInput, match=said):
        run(more, out=tmp_path / "out", resume=True, force_recipe=True)
    assert (tmp_path / "out" / "ledger.jsonl").read_bytes() == bill
    rows(tmp_path / "mine.jsonl", 40)
    assert run(more, out=tmp_path / "out", resume=True, force_recipe=True)["steps"] == 2


def test_a_recipe_that_was_edited_in_the_run_folder_is_refused(quick_recipe, tmp_path):
    run(load_recipe(quick_recipe, {"stop.max_steps": 1}), out=tmp_path / "out")
    kept = tmp_path / "out" / "recipe.yaml"
    as_it_ran = kept.read_text()
    kept.write_text(as_it_ran.replace("learning_rate: 0.001", "learning_rate: 0.5").replace("seed: 1", "seed: 2"))
    changed = r"since the checkpoint: seed 1 -> 2; optim\.learning_rate 0\.001 -> 0\.5; put it back"
    with pytest.raises(BadInput, match=changed):
        run(load_recipe(kept, {"stop.max_steps": 2}), out=tmp_path / "out", resume=True, force_recipe=True)
    kept.write_text(as_it_ran)
    more = load_recipe(kept, {"stop.max_steps": 2})
    assert run(more, out=tmp_path / "out", resume=True, force_recipe=True)["steps"] == 2


def test_a_checkpoint_of_another_version_is_refused_and_stays(quick_recipe, tmp_path):
    """As one of 0.1.0, which kept no choices of the machine and did not say its version."""
    run(load_recipe(quick_recipe, {"stop.max_steps": 1}), out=tmp_path / "out")
    (older,) = (tmp_path / "out" / "checkpoints").glob("step-000001")
    state = json.loads((older / "state.json").read_text())
    del state["choices"]
    (older / "state.json").write_text(json.dumps(state))
    sums = {name: sha256((older / name).read_bytes()).hexdigest() for name in ("state.json", "state.safetensors")}
    (older / "manifest.json").write_text(json.dumps(sums))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.name != ".lock"}
    more = load_recipe(quick_recipe, {"stop.max_steps": 2})
    said = (
        rf"written by tina-lite 0\.1\.0, and this is {re.escape(VERSION)}, .* \(choices: is missing\); go on with that"
    )
    with pytest.raises(BadInput, match=said):
        run(more, out=tmp_path / "out", resume=True, force_recipe=True)
    assert {path: path.read_bytes() for path in before} == before


def test_a_changed_benchmark_is_refused(quick_recipe, tmp_path):
    rows(tmp_path / "asked.jsonl", 4)
    asked = {"benchmarks": [str(tmp_path / "asked.jsonl")], "problems": 2, "samples": 1}
    run(load_recipe(quick_recipe, {"stop.max_steps": 1, "eval": asked}), out=tmp_path / "out")
    more = load_recipe(quick_recipe, {"stop.max_steps": 2, "eval": asked})
    rows(tmp_path / "asked.jsonl", 4, first=7)
    with pytest.raises(BadInput, match=r"^eval\.benchmarks: the problems of \S*asked\S* have changed"):
        run(more, out=tmp_path / "out", resume=True, force_recipe=True)
    rows(tmp_path / "asked.jsonl", 4)
    assert run(more, out=tmp_path / "out", resume=True, force_recipe=True)["steps"] == 2


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "chat_template.jinja", "config.json"])
def test_a_changed_model_is_refused(quick_recipe, tmp_path, name):
    shutil.copytree(Path(tina_lite.__file__).parent / "base", tmp_path / "model")
    changes = {"model.id": str(tmp_path / "model"), "stop.max_steps": 1}
    run(load_recipe(quick_recipe, changes), out=tmp_path / "out")
    more = load_recipe(quick_recipe, {**changes, "stop.max_steps": 2})
    file = tmp_path / "model" / name
    whole = file.read_bytes()
    file.write_bytes(whole[:-9] + b" " + whole[-8:] if name == "model.safetensors" else whole + b" ")
    with pytest.raises(BadInput, match=rf"^model\.id: {name} of the model's folder changed since the checkpoint"):
        run(more, out=tmp_path / "out", resume=True, force_recipe=True)
    file.write_bytes(whole)
    assert run(more, out=tmp_path / "out", resume=True, force_recipe=True)["steps"] == 2


def test_changed_reward_code_is_said(quick_recipe, tmp_path):
    mine = tmp_path / "mine.py"
    mine.write_text("def mine(completions, **columns):\n    return [float(len(str(c)) % 2) for c in completions]\n")
    changes = {"rewards": [f"{mine}:mine"], "stop.max_steps": 1}
    run(load_recipe(quick_recipe, changes), out=tmp_path / "out")
    mine.write_text(mine.read_text().replace("% 2", "% 3"))
    seen: list = []
    more = load_recipe(quick_recipe, {**changes, "stop.max_steps": 2})
    run(more, out=tmp_path / "out", resume=True, force_recipe=True, listeners=[seen.append])
    assert "the code of reward mine has changed since the checkpoint: it may give others" in notices(seen)


def test_another_device_is_said_and_so_is_what_was_not_kept():
    now = Identity(4, "abc", {}, {}, {"mine": "1"}, "NVIDIA L40S", {"seed": 1})
    assert now.changes_since(now) == []
    assert now.changes_since(replace(now, device="the CPU")) == [
        "the checkpoint was made on the CPU, this is NVIDIA L40S: numbers will round otherwise"
    ]
    assert now.changes_since(Identity()) == [NOT_KEPT]


def test_a_schedule_stays_as_it_was_laid_out_and_a_resume_that_would_change_it_says_so(quick_recipe, tmp_path):
    run(load_recipe(quick_recipe, {"optim.warmup_ratio": 0.0}), out=tmp_path / "out")
    more = load_recipe(quick_recipe, {"optim.warmup_ratio": 0.0, "stop.max_steps": 6})
    seen: list = []
    run(more, out=tmp_path / "out", resume=True, force_recipe=True, listeners=[seen.append])
    assert (
        "the learning rate was laid out over 3 steps when the run began, and stays so, though the recipe says 6 now"
        in notices(seen)
    )
    rates = [
        json.loads(line)["learning_rate"] for line in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()
    ]
    assert rates[3:] == [rates[2]] * 3, "at its floor, and no higher"


def test_it_may_be_laid_out_over_more_steps_than_are_run(quick_recipe, tmp_path):
    """As the paper's were, which stopped in the middle of their cosine."""
    changes = {"optim.warmup_ratio": 0.0, "optim.min_lr_ratio": 0.0, "optim.schedule_steps": 6}
    run(load_recipe(quick_recipe, changes), out=tmp_path / "out")
    lines = (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()
    peak = load_recipe(quick_recipe).optim.learning_rate
    shares = [json.loads(line)["learning_rate"] / peak for line in lines]
    assert shares == pytest.approx([(1 + math.cos(math.pi * step / 6)) / 2 for step in (1, 2, 3)])


def test_without_max_steps_it_is_laid_out_over_what_the_budget_pays_for(quick_recipe, tmp_path, monkeypatch):
    """One epoch of the sums is 25,000 steps: the rate would stay in its warm-up for ever."""
    wind, update = wound_clock(monkeypatch), Learner.update

    def updated(*arguments, **others):
        wind(1.0)
        return update(*arguments, **others)

    monkeypatch.setattr(Learner, "update", updated)
    changes = {"stop": {"max_hours": 20 / 3600}, "optim.learning_rate": 1.0e-3, "optim.warmup_ratio": 0.1}
    seen: list = []
    summary = run(load_recipe(quick_recipe, changes), out=tmp_path / "out", listeners=[seen.append])
    (said,) = [text for text in notices(seen) if text.startswith("the learning rate is laid out over")]
    steps = int(said.split()[7])
    assert said.endswith("steps, which max_hours pays for; one epoch would be 25000. stop.max_steps sets it")
    saved, _ = newest(tmp_path / "out" / "checkpoints")
    assert saved.state["schedule"]["schedule_steps"] == steps
    assert summary["steps"] / 4 < steps < 25_000
    rates = [
        json.loads(line)["learning_rate"] for line in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()
    ]
    assert max(rates) > 0.5e-3


def test_a_benchmark_whose_prompts_are_too_long_does_not_vanish(quick_recipe, tmp_path):
    rows(tmp_path / "hard.jsonl", 3)
    with (tmp_path / "hard.jsonl").open("a") as file:
        file.write(json.dumps({"question": "What is " + "1+" * 200 + "1?", "answer": "201"}) + "\n")
    (tmp_path / "harder.jsonl").write_text((tmp_path / "hard.jsonl").read_text().splitlines()[-1] + "\n")
    seen: list = []
    benchmarks = {"eval.benchmarks": ["./hard.jsonl", "./harder.jsonl"], "eval.samples": 1, "stop.max_steps": 1}
    run(load_recipe(quick_recipe, benchmarks), out=tmp_path / "out", listeners=[seen.append])
    said = [text for text in notices(seen) if "longer than rollout.max_prompt_length, 64 tokens" in text]
    assert len(said) == 2
    assert said[0].startswith("benchmark hard: only 3 of 4 are asked: ")
    assert said[1].startswith("benchmark harder: it is not measured: ")


def test_the_same_problem_twice_in_a_step_gets_two_groups(quick_recipe, tmp_path, monkeypatch):
    """Two problems, four prompts a step: each step goes through two epochs."""
    rows(tmp_path / "two.jsonl", 2)

    from tina_lite.train import collect as collector

    real, seen = collector.score, []

    def watched(scored_groups, *others):
        seen.append([tuple(c.ids for c in group.completions) for group in scored_groups])
        return real(scored_groups, *others)

    monkeypatch.setattr(collector, "score", watched)
    run(
        load_recipe(quick_recipe, {"data": {"source": str(tmp_path / "two.jsonl")}, "stop.max_steps": 2}),
        out=tmp_path / "out",
    )
    assert [len(set(step)) for step in seen] == [4, 4]


def test_resampling_shows_what_it_replaced(quick_recipe, tmp_path):
    changes = {"rollout.resample_zero_variance": 3, "rewards": ["accuracy"]}
    run(load_recipe(quick_recipe, changes), out=tmp_path / "out")
    found = [json.loads(line) for line in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()]
    assert sum(row["resampling/discarded_groups"] for row in found) > 0
    assert any(row["resampling/reward_before"] != row["reward"] for row in found)
    for before, after in zip([0, *(row["num_tokens"] for row in found)], found, strict=False):
        drawn = after["num_tokens"] - before
        assert drawn > 16 * after["completions/mean_length"]
