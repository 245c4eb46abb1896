"""What a run takes from the hub stays as it was when the run began, though its branch moves."""

import shutil
from pathlib import Path

import pytest
from whole_runs import metrics

import tina_lite
from tina_lite import Recipe, load_recipe, run
from tina_lite.launch import resume
from tina_lite.policy.model_ref import resolve
from tina_lite.recipe import with_local_paths

FIRST, SECOND = "a" * 40, "b" * 40


def put(cache: Path, commit: str, chat_template: str = "") -> None:
    """The shipped base as me/base, in the hub's cache, and its main branch at this commit."""
    folder = cache / "models--me--base"
    snapshot = folder / "snapshots" / commit
    shutil.copytree(Path(tina_lite.__file__).parent / "base", snapshot)
    with (snapshot / "chat_template.jinja").open("a") as template:
        template.write(chat_template)
    (folder / "refs").mkdir(exist_ok=True)
    (folder / "refs" / "main").write_text(commit)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's, without a network."""
    folder = tmp_path / "cache"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for user in ("file_download", "_snapshot_download"):
        monkeypatch.setattr(f"huggingface_hub.{user}.constants.HF_HUB_CACHE", str(folder))
    return folder


def test_a_model_is_that_of_the_commit_that_the_run_began_with(quick_recipe, tmp_path, cache):
    put(cache, FIRST)
    changes = {"model.id": "me/base"}
    for out in ("straight", "stopped"):
        steps = {"stop.max_steps": 2 if out == "straight" else 1, "optim.schedule_steps": 2}
        run(load_recipe(quick_recipe, changes | steps), out=tmp_path / out)
    assert f"id: me/base@{FIRST}\n" in (tmp_path / "stopped" / "recipe.yaml").read_text()
    put(cache, SECOND, chat_template="{{ 'something else' }}")
    more = load_recipe(quick_recipe, {**changes, "stop.max_steps": 2, "optim.schedule_steps": 2})
    assert run(more, out=tmp_path / "stopped", resume=True, force_recipe=True)["steps"] == 2
    assert metrics(tmp_path / "stopped") == metrics(tmp_path / "straight")
    assert run(more, out=tmp_path / "stopped", resume=True)["steps"] == 2, "it has ended, whatever main is now"
    assert resolve(str(tmp_path / "stopped")).model_id == f"me/base@{FIRST}"
    shutil.copytree(tmp_path / "stopped" / "adapter", tmp_path / "alone")
    assert resolve(str(tmp_path / "alone")).model_id == f"me/base@{FIRST}", "as PEFT keeps it"
    card = (tmp_path / "alone" / "README.md").read_text()
    assert "base_model: me/base\n" in card
    assert "## How it was asked" in card
    assert f'from_pretrained("me/base", revision="{FIRST}", quantization_config=nf4)' in card


class Hub:
    """Answers with a commit for every repository, and counts the questions; None is no network."""

    def __init__(self, commit: str | None) -> None:
        self.commit, self.asked = commit, 0

    def repo_info(self, repo: str, *, repo_type: str, revision: str | None, timeout: float) -> "Hub":
        import httpx

        self.asked += 1
        if self.commit is None:
            raise httpx.ConnectError("no network")
        return self

    @property
    def sha(self) -> str | None:
        return self.commit


def recipe_of_the_hub(quick_recipe: Path) -> Recipe:
    measured = ["held_out", "math500", "me/asked", "./mine.jsonl"]
    return load_recipe(
        quick_recipe, {"model.id": "me/base", "data": {"source": "me/data"}, "eval.benchmarks": measured}
    )


def test_each_name_of_the_hub_is_pinned_and_nothing_else(quick_recipe, tmp_path, monkeypatch):
    hub = Hub(FIRST)
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: hub)
    (tmp_path / "mine.jsonl").write_text("{}")
    recipe = with_local_paths(recipe_of_the_hub(quick_recipe))
    found = resume.pinned(recipe)
    assert (found.model.id, found.data.source) == (f"me/base@{FIRST}", f"me/data@{FIRST}")
    assert found.eval.benchmarks == (
        "held_out",
        f"math500=HuggingFaceH4/MATH-500@{FIRST}",
        f"me/asked@{FIRST}",
        str(tmp_path / "mine.jsonl"),
    )
    assert (found.model.named, found.data.named) == ("me/base", "me/data")
    assert hub.asked == 4
    assert resume.pinned(found) == found
    assert hub.asked == 4, "what is pinned stays"
    hub.commit = SECOND
    assert resume.pinned_as(recipe, found) == found
    assert resume.pinned_as(found, found) == found
    assert resume.pinned_as(recipe, recipe) == recipe
    local = load_recipe(quick_recipe)
    assert resume.pinned(local).model_dump() == local.model_dump()
    assert hub.asked == 4, "there is nothing of the hub in it"


def test_without_a_network_it_is_asked_once(quick_recipe, cache, monkeypatch):
    hub = Hub(None)
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: hub)
    recipe = recipe_of_the_hub(quick_recipe)
    assert resume.pinned(recipe) == recipe
    assert hub.asked == 1


def test_a_data_set_is_loaded_at_its_commit(monkeypatch):
    from tina_lite.data import load_problems
    from tina_lite.data.benchmarks import load_benchmark
    from tina_lite.recipe.schema import DataSection

    datasets = pytest.importorskip("datasets")
    asked: list[tuple[str, str | None, str | None]] = []

    def load_dataset(repo, *, split, revision, **_):
        asked.append((repo, split, revision))
        rows = datasets.Dataset.from_list([{"problem": "What is 1+1?", "answer": "2"}])
        return rows if split else {"test": rows}

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    assert load_problems(DataSection(source=f"me/data@{FIRST}")).name == "data"
    assert load_benchmark(f"math500=HuggingFaceH4/MATH-500@{FIRST}").name == "math500"
    assert load_benchmark(f"me/asked@{FIRST}").name == "asked"
    assert load_problems(DataSection(source="me/data")).name == "data"
    assert asked == [
        ("me/data", "train", FIRST),
        ("HuggingFaceH4/MATH-500", "test", FIRST),
        ("me/asked", None, FIRST),
        ("me/data", "train", None),
    ]
