"""A run that was moved, with its recipe's folder or without, is gone on with from where it is now."""

import json
import shutil
from pathlib import Path

import pytest
from whole_runs import adapter, metrics, quick_recipe_in, same

from tina_lite import load_recipe, run
from tina_lite.policy.model_ref import resolve
from tina_lite.recipe import to_yaml
from tina_lite.runs.look import begins, records

ROWS = [{"question": f"What is {n} + 1?", "answer": str(n + 1)} for n in range(40)]
REWARD = "def mine(completions, **columns):\n    return [float(len(str(one)) % 3) for one in completions]\n"
MINE = {
    "data.source": "data/mine.jsonl",
    "rewards": ["mine.py:mine"],
    "eval": {"benchmarks": ["asked.jsonl"], "problems": 2, "samples": 1},
    "optim.schedule_steps": 2,
}
MORE = ("--max-steps", "2", "--plain")


@pytest.fixture(scope="module")
def begun(tmp_path_factory) -> Path:
    """A folder with a recipe, what it names, and its run after one step, in runs/m."""
    project = tmp_path_factory.mktemp("begun") / "old"
    (project / "data").mkdir(parents=True)
    for name, rows in (("data/mine.jsonl", ROWS), ("asked.jsonl", ROWS[:3])):
        (project / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    (project / "mine.py").write_text(REWARD)
    whole = load_recipe(quick_recipe_in(project), MINE)
    (project / "mine.yaml").write_text(to_yaml(whole))
    run(load_recipe(project / "mine.yaml", {"stop.max_steps": 1}), out=project / "runs" / "m")
    return project


@pytest.fixture(scope="module")
def stayed(begun, tmp_path_factory) -> Path:
    """Its run, gone on with where it began."""
    out = tmp_path_factory.mktemp("stayed") / "m"
    shutil.copytree(begun / "runs" / "m", out)
    run(load_recipe(out / "recipe.yaml", {"stop.max_steps": 2}), out=out, resume=True, force_recipe=True)
    return out


@pytest.fixture
def project(begun, tmp_path, monkeypatch) -> Path:
    """All of it, moved; what stood at the old place is gone."""
    here = tmp_path / "new" / "place"
    shutil.copytree(begun, here)
    gone = begun.with_name("gone")
    begun.rename(gone)
    monkeypatch.chdir(tmp_path)
    yield here
    gone.rename(begun)


def alike(out: Path, stayed: Path) -> bool:
    return metrics(out) == metrics(stayed) and same(adapter(out), adapter(stayed))


def test_with_the_folder_of_its_recipe(project, stayed, tina):
    out = project / "runs" / "m"
    assert resolve(str(out)).recipe.data.source == str(project / "data" / "mine.jsonl")
    assert tina("resume", str(out), *MORE).code == 0
    assert alike(out, stayed)
    assert str(project / "mine.py") in (out / "recipe.yaml").read_text(), "from now on it is at home here"
    places = [started["folder"] for started in records(out / "events.jsonl", begins("run_started"))]
    assert places[1:] == [str(out)]


def test_by_the_recipe_that_it_was_begun_with(project, stayed, tina):
    out = project / "runs" / "m"
    recipe = str(project / "mine.yaml")
    assert tina("run", recipe, "--resume", "--out", str(out), *MORE).code == 0
    assert alike(out, stayed)


def test_with_its_files_in_its_own_folder(project, stayed, tina):
    out = project.rename(project.with_name("m2")) / "runs" / "m"
    for name in ("data/mine.jsonl", "asked.jsonl", "mine.py"):
        shutil.move(project.with_name("m2") / name, out)
    assert tina("resume", str(out), *MORE).code == 0
    assert alike(out, stayed)


def test_what_is_nowhere_is_named_and_may_be_given(project, stayed, tina):
    out, data = project / "runs" / "m", project / "data" / "mine.jsonl"
    elsewhere = data.rename(project / "renamed.jsonl")
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    said = tina("resume", str(out), *MORE)
    assert said.code == 2
    assert said.err.endswith(
        "/old/data/mine.jsonl; put it back, or give its new place with --set, such as --set data.source=FILE\n"
    )
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    assert tina("resume", str(out), "--set", f"data.source={elsewhere}", *MORE).code == 0
    assert alike(out, stayed)


def test_what_is_found_there_has_to_be_the_same(project, tina):
    (project / "data" / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS[:9]))
    said = tina("resume", str(project / "runs" / "m"), *MORE)
    assert said.code == 2
    assert "the data have changed since the checkpoint (38 problems then, 7 now)" in said.err


def test_another_benchmark_is_no_moved_one(project, tina):
    (project / "asked.jsonl").rename(project / "others.jsonl")
    benchmarks = f"eval.benchmarks=[{project / 'others.jsonl'}]"
    said = tina("resume", str(project / "runs" / "m"), "--set", benchmarks, *MORE)
    assert said.code == 2
    assert "the problems of asked, others have changed since the checkpoint" in said.err
