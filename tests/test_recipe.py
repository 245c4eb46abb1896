"""Recipes: what is accepted, and the one line that a fault gets."""

from pathlib import Path

import pytest

from tina_lite.errors import BadInput
from tina_lite.recipe import Recipe, parse_override
from tina_lite.shipped import find_recipe, shipped_recipes

GOOD = "name: x\ndata: {source: arithmetic}\n"


def load(tmp_path: Path, text: str, **overrides: object) -> Recipe:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    return Recipe.load(path, overrides)


def fault(tmp_path: Path, text: str, overrides: dict[str, object] | None = None) -> str:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(BadInput) as caught:
        Recipe.load(path, overrides)
    assert caught.value.exit_code == 2
    return str(caught.value).removeprefix(str(path))


def test_the_defaults_are_the_papers(tmp_path):
    recipe = load(tmp_path, GOOD)
    assert (recipe.lora.r, recipe.lora.alpha, recipe.optim.learning_rate) == (32, 128, 1e-6)
    assert [(r.name, r.weight) for r in recipe.rewards] == [("accuracy", 2), ("format", 1)]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("optim: {learning_rte: 3}", ":3: optim.learning_rte: unknown field; did you mean learning_rate?"),
        ("lora: {lora_alpha: 3}", ":3: lora.lora_alpha: unknown field; did you mean alpha?"),
        ("learning_rate: 1", ":3: learning_rate: unknown field; did you mean optim.learning_rate?"),
        ("max_new_tokens: 1", ":3: max_new_tokens: unknown field; did you mean rollout.max_completion_length?"),
        ("grpo: {loss_type: grop}", "did you mean grpo?"),
        ("optim:\n  min_lr_ratio: abc", ":4: optim.min_lr_ratio: got 'abc'; needs a valid number"),
        ("optim: {min_lr_ratio: 2}", "must be less than or equal to 1"),
        ("stop: {max_steps: 2.5}", ":3: stop.max_steps: got 2.5; needs a valid integer"),
        ("stop: {max_steps: true}", "stop.max_steps: got True"),
        ("rollout: {num_generations: 1}", "must be greater than or equal to 2 (a group of one has no advantage)"),
        ("budget: {rate: {watts: 3}}", "needs auto, a number of US dollars per hour, or {watts: W, usd_per_kwh: P}"),
        ("budget: {max_usd: .nan}", "a finite number is needed"),
        ("rewards: []", ":3: rewards"),
        ("rewards: [format, format]", "a reward is named twice"),
        ("rewards: [{weight: 2}]", ":3: rewards.0.name: is missing"),
    ],
)
def test_a_fault_names_line_field_and_remedy(tmp_path, line, said):
    message = fault(tmp_path, GOOD + line + "\n")
    assert said in message
    assert "\n" not in message


def test_all_faults_are_said_at_once(tmp_path):
    assert len(fault(tmp_path, "name: x\nlora: {r: 0}\nseeed: 3\n").splitlines()) == 3  # r, seeed, data is missing


def test_broken_yaml_names_line_and_column(tmp_path):
    assert fault(tmp_path, "name: x\ndata: {source: a\nx: 3\n").startswith(":3:2: broken YAML")


@pytest.mark.parametrize("text", ["", "- a\n", "just words\n"])
def test_a_file_that_is_no_mapping(tmp_path, text):
    assert "a recipe is a YAML mapping" in fault(tmp_path, text)


def test_yaml_runs_no_code(tmp_path):
    made = tmp_path / "made"
    fault(tmp_path, f"name: !!python/object/apply:os.mkdir ['{made}']\ndata: {{source: a}}\n")
    assert not made.exists()


def test_a_missing_recipe(tmp_path):
    with pytest.raises(BadInput, match="no such recipe"):
        Recipe.load(tmp_path / "none.yaml")


def test_overrides_are_validated_like_the_file(tmp_path):
    settings = dict(map(parse_override, ("optim.learning_rate=5e-6", "rewards.0.weight=3")))
    recipe = load(tmp_path, GOOD, **settings)
    assert recipe.optim.learning_rate == 5e-6
    assert recipe.rewards[0].weight == 3
    message = fault(tmp_path, GOOD, {"optim.learning_rte": 1})
    assert message == "--set: optim.learning_rte: unknown field; did you mean learning_rate?"


def test_an_override_without_a_value():
    with pytest.raises(BadInput, match="field=value"):
        parse_override("optim.learning_rate")


def test_the_resolved_recipe_is_the_same_run(tmp_path):
    recipe = load(tmp_path, GOOD + "rewards: [{name: cosine, weight: 2, max_length: 99}, format]\n")
    again = tmp_path / "again.yaml"
    again.write_text(recipe.to_yaml())
    assert Recipe.load(again) == recipe


def test_local_files_are_found_from_any_folder(tmp_path, monkeypatch):
    (tmp_path / "mine.jsonl").write_text("{}")
    recipe = load(tmp_path, "name: x\ndata: {source: mine.jsonl}\n")
    monkeypatch.chdir("/")
    assert recipe.with_local_paths().data.source == str(tmp_path / "mine.jsonl")


@pytest.mark.parametrize("name", shipped_recipes())
def test_every_shipped_recipe_is_valid(name):
    recipe = Recipe.load(find_recipe(Path(name)))
    assert recipe.budget.max_usd is not None, "a shipped recipe has a budget"


def test_an_unknown_shipped_recipe_gets_the_nearest_name():
    with pytest.raises(BadInput, match="did you mean quickstart"):
        find_recipe(Path("quikstart"))
