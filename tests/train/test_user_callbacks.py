"""A user's callbacks: called with every step, may end the run, keep state over a resume, and never break it."""

from pathlib import Path
from typing import Any

import pytest
from whole_runs import lines, stateful, summary_of

from tina_lite import load_recipe, run
from tina_lite.util.errors import BadInput

MINE = """
def watch(record):
    return "well enough" if record.step == 2 else None

class Counts:
    def __init__(self):
        self.seen = []
    def after_step(self, record):
        self.seen.append(record.step)
        print("seen", self.seen, record.metrics["reward"] >= 0)
    def state(self):
        return self.seen
    def load_state(self, state):
        self.seen = list(state)

class Faulty:
    def on_begin(self):
        raise KeyError("begin")
    def after_step(self, record):
        raise ValueError("step")
    def state(self):
        return object()
    def on_end(self):
        1 / 0
"""


@pytest.fixture
def recipe_file(quick_recipe: Path) -> Path:
    (quick_recipe.parent / "mine.py").write_text(MINE)
    return quick_recipe


def said(folder: Path) -> list[str]:
    return [event["text"] for event in lines(folder / "events.jsonl") if event["event"] == "notice"]


def test_a_function_is_handed_each_step_and_may_end_the_run(recipe_file: Path, tmp_path: Path) -> None:
    summary = run(load_recipe(recipe_file, {"callbacks": "mine.py:watch"}), out=tmp_path / "out")
    assert (summary["stop_reason"], summary["steps"]) == ("well enough", 2)


def test_what_a_class_keeps_outlasts_a_resume(
    recipe_file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    changes = {"callbacks": ["mine.py:Counts"], "stop.max_steps": 1, "optim.schedule_steps": 3}
    run(stateful(recipe_file, **changes), out=tmp_path / "out")
    more = stateful(recipe_file, **{**changes, "stop.max_steps": 2})
    run(more, out=tmp_path / "out", resume=True, force_recipe=True)
    assert "Counts: seen [1, 2] True" in capfd.readouterr().err


def test_one_that_raises_is_a_warning_each(recipe_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    run(load_recipe(recipe_file, {"callbacks": ["mine.py:Faulty"], "stop.max_steps": 2}), out=folder)
    assert summary_of(folder)["steps"] == 2
    warned = [text for text in said(folder) if text.startswith("callback Faulty failed in ")]
    assert [text.split(",")[0].removeprefix("callback Faulty failed in ") for text in warned] == [
        "state",
        "on_begin",
        "after_step",
        "on_end",
    ]
    assert warned[2].endswith("and the run goes on: ValueError: step")


def test_from_python_a_function_or_a_class_is_handed_over(recipe_file: Path, tmp_path: Path) -> None:
    seen: list[int] = []

    def look(record: Any) -> None:
        seen.append(record.step)

    run(load_recipe(recipe_file, {"stop.max_steps": 2}), out=tmp_path / "out", callbacks=[look])
    assert seen == [1, 2]


@pytest.mark.parametrize("name", ["watch", "mine.py:watch, mine.py:watch", "mine.py:wach", "none.py:watch"])
def test_one_that_cannot_be_found_is_refused_before_anything_is_paid_for(
    recipe_file: Path, tmp_path: Path, name: str
) -> None:
    with pytest.raises(BadInput, match=r"^callbacks: "):
        run(load_recipe(recipe_file, {"callbacks": name.split(", ")}), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_reason_to_stop_that_raises_is_a_warning_too(recipe_file: Path, tmp_path: Path) -> None:
    class Unreasonable:
        @property
        def stop_reason(self) -> str:
            raise OSError("no reason")

    class Convinced:
        stop_reason = True

    summary = run(load_recipe(recipe_file), out=tmp_path / "out", callbacks=[Unreasonable])
    assert (summary["steps"], summary["stop_reason"]) == (3, "max_steps")
    failed = "callback Unreasonable failed in stop_reason, and the run goes on: OSError: no reason"
    assert said(tmp_path / "out").count(failed) == 1
    summary = run(load_recipe(recipe_file), out=tmp_path / "other", callbacks=[Convinced])
    assert (summary["steps"], summary["stop_reason"]) == (0, "Convinced")
