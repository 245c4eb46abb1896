"""Recipes: what is accepted, and the one line that a fault gets."""

from pathlib import Path

import pytest

from tina_lite.recipe import Recipe, load_recipe, parse_override, to_yaml, with_local_paths
from tina_lite.recipe.file import find_recipe
from tina_lite.util.errors import BadInput

GOOD = "name: x\ndata: {source: arithmetic}\n"


def load(tmp_path: Path, text: str, **overrides: object) -> Recipe:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    return load_recipe(path, overrides)


def fault(tmp_path: Path, text: str, overrides: dict[str, object] | None = None) -> str:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(BadInput) as caught:
        load_recipe(path, overrides)
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
        (
            "budget: {rate: {watts: 3}}",
            "needs auto, a number of US dollars per hour, or {watts: W or auto, usd_per_kwh: P}",
        ),
        ("budget: {max_usd: .nan}", "a finite number is needed"),
        ("rewards: []", ":3: rewards"),
        ("rewards: [format, format]", "a reward is named twice"),
        ("rewards: [{weight: 2}]", ":3: rewards.0.name: is missing"),
        ("rewards: {accuracy: 2, format: 1}", "write it as a list: [{name: accuracy, weight: 2}"),
        ("optim: {learning_rate: 1,0e-6}", ":3: optim: a number stands behind a comma; write decimals with a point"),
        ("optim: {learning_rate: '1,0e-6'}", "write it with a point: 1.0e-6"),
        ("optim: {learning_rate: [1, 2]}", "optim.learning_rate: got [1, 2]; needs a valid number"),
        ("budget: {max_usd: 5,00}", ":3: budget: a number stands behind a comma; write decimals with a point"),
        ("optimizer: {lr: 1}", ":3: optimizer: unknown field; did you mean optim"),
        ("seed: -1", ":3: seed: got -1, must be greater than or equal to 0"),
        ("seed: " + "9" * 100, ", must be less than"),
    ],
)
def test_a_fault_names_line_field_and_remedy(tmp_path, line, said):
    message = fault(tmp_path, GOOD + line + "\n")
    assert said in message
    assert "\n" not in message


def test_all_faults_are_said_at_once(tmp_path):
    assert len(fault(tmp_path, "name: x\nlora: {r: 0}\nseeed: 3\n").splitlines()) == 3  # r, seeed, data is missing


@pytest.mark.parametrize(
    ("text", "place"),
    [("name: x\ndata: {source: a\nx: 3\n", ":3:2"), ("data:\n\tsource: a\n", ":2:1"), (GOOD + "name: b\n", ":3:1")],
)
def test_broken_yaml_names_line_and_column(tmp_path, text, place):
    assert fault(tmp_path, text).startswith(f"{place}: broken YAML")


@pytest.mark.parametrize("name", ["a/b", "..", "x" * 300])
def test_a_name_that_no_folder_can_have(tmp_path, name):
    assert "it names a folder" in fault(tmp_path, GOOD, {"name": name})


@pytest.mark.parametrize("text", ["", "- a\n", "just words\n"])
def test_a_file_that_is_no_mapping(tmp_path, text):
    assert "a recipe is a YAML mapping" in fault(tmp_path, text)


def test_yaml_runs_no_code(tmp_path):
    made = tmp_path / "made"
    fault(tmp_path, f"name: !!python/object/apply:os.mkdir ['{made}']\ndata: {{source: a}}\n")
    assert not made.exists()


def test_a_missing_recipe(tmp_path):
    with pytest.raises(BadInput, match="no such recipe"):
        load_recipe(tmp_path / "none.yaml")


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
    again.write_text(to_yaml(recipe))
    assert load_recipe(again) == recipe


def test_local_files_are_found_from_any_folder(tmp_path, monkeypatch):
    (tmp_path / "mine.jsonl").write_text("{}")
    measured = "eval: {benchmarks: [mine.jsonl, math500=mine.jsonl, math500=elsewhere.jsonl, gsm8k]}\n"
    recipe = load(tmp_path, "name: x\ndata: {source: mine.jsonl}\n" + measured)
    monkeypatch.chdir("/")
    here = str(tmp_path / "mine.jsonl")
    recipe = with_local_paths(recipe)
    assert recipe.data.source == here
    assert recipe.eval.benchmarks == (here, f"math500={here}", "math500=elsewhere.jsonl", "gsm8k")


def test_an_unknown_shipped_recipe_gets_the_nearest_name():
    with pytest.raises(BadInput, match="did you mean quickstart"):
        find_recipe(Path("quikstart"))


def write(folder: Path, **texts: str) -> Path:
    """Recipes by name; the path of the first."""
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder / f"{next(iter(texts))}.yaml"


def test_a_recipe_extends_another_field_by_field(tmp_path):
    below = GOOD + "lora: {r: 8, alpha: 16}\nrewards: [accuracy, format]\nstop: {max_steps: 5}\n"
    path = write(tmp_path, top="extends: below.yaml\nlora: {r: 4}\nrewards: [accuracy]\nstop: {max_steps: null}\n")
    (tmp_path / "below.yaml").write_text(below)
    recipe = load_recipe(path, {"lora.dropout": 0.5})
    assert (recipe.name, recipe.lora.r, recipe.lora.alpha, recipe.lora.dropout) == ("x", 4, 16, 0.5)
    assert [reward.name for reward in recipe.rewards] == ["accuracy"]
    assert recipe.stop.max_steps is None


def test_the_run_folders_recipe_extends_nothing(tmp_path):
    path = write(tmp_path, top="extends: quickstart\nseed: 5\n")
    recipe = load_recipe(path)
    again = write(tmp_path, again=to_yaml(recipe))
    assert "extends" not in again.read_text()
    assert load_recipe(again).model_dump() == recipe.model_dump()


def test_an_extended_recipe_brings_its_folder(tmp_path, monkeypatch):
    (tmp_path / "team").mkdir()
    (tmp_path / "team" / "mine.jsonl").write_text("{}")
    (tmp_path / "team" / "mine.py").write_text("")
    write(tmp_path / "team", base="data: {source: mine.jsonl}\nrewards: ['mine.py:f']\n")
    path = write(tmp_path, top="extends: team/base.yaml\nname: y\n")
    monkeypatch.chdir("/")
    recipe = with_local_paths(load_recipe(path))
    assert recipe.data.source == str(tmp_path / "team" / "mine.jsonl")
    assert recipe.rewards[0].name == f"{tmp_path / 'team' / 'mine.py'}:f"
    assert recipe.folder == tmp_path


@pytest.mark.parametrize(
    ("top", "below", "said"),
    [
        ("extends: below.yaml\n\nlora: {s: 1}", "data: {source: a}", "top.yaml:3: lora.s: unknown field"),
        ("extends: below.yaml\nlora: {r: 1}", "data: {source: a}\n\nlora:\n  s: 1", "below.yaml:4: lora.s: unknown"),
        ("extends: below.yaml\nlora: {r: 0}", "data: {source: a}\nlora: {r: 2}", "top.yaml:2: lora.r: got 0"),
        ("extends: below.yaml", "lora: {r: 2}", "top.yaml:1: data: is missing and has no default"),
        ("extends: below.yaml", "data: {source: a", "below.yaml:2:1: broken YAML"),
        ("name: y\nextends: belo.yaml", "", "top.yaml:2: extends: no recipe 'belo.yaml' in "),
        ("extends: quikstart", "", "top.yaml:1: extends: no recipe 'quikstart' in "),
        ("extends: quikstart", "", "did you mean quickstart?"),
        ("extends: [a, b]", "", "top.yaml:1: extends: got ['a', 'b']; needs a file, or the name of a recipe"),
        ("extends: top.yaml", "", "top.yaml:1: extends: goes in a circle: "),
        ("extends: below.yaml", "name: y\nextends: top.yaml", "below.yaml:2: extends: goes in a circle: "),
    ],
)
def test_a_fault_in_recipes_that_extend_names_the_right_file(tmp_path, top, below, said):
    path = write(tmp_path, top=top + "\n", below=below + "\n")
    with pytest.raises(BadInput) as caught:
        load_recipe(path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_override_of_an_extended_field_is_blamed_on_set(tmp_path):
    path = write(tmp_path, top="extends: below.yaml\n", below=GOOD + "lora: {r: 2}\n")
    with pytest.raises(BadInput, match=r"--set: lora\.r: got 0"):
        load_recipe(path, {"lora.r": 0})


@pytest.mark.parametrize(("section", "earlier"), [("model", "portable"), ("rollout", "own")])
def test_engines_are_known_by_their_earlier_names(section: str, earlier: str) -> None:
    recipe = Recipe.model_validate({"data": {"source": "arithmetic"}, section: {"engine": earlier}})
    assert getattr(recipe, section).engine == "native"
