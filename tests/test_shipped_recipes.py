"""Every recipe that ships: it is valid, has a budget and a headline, and its dry run works without a network.

tests/data_sets holds five rows, made by hand, in the shape of each data set on the hub. The shapes are those of public
copies of their cards and of code that reads them; the recipes say which were not found there.
"""

from pathlib import Path

import pytest

from tina_lite.data.sources import problems_of
from tina_lite.launch.preview import dry_run
from tina_lite.recipe import load_recipe
from tina_lite.recipe.file import find_recipe, headline, shipped_recipes
from tina_lite.rewards import resolve

pytestmark = pytest.mark.usefixtures("known_cpu")
RECIPES = shipped_recipes()
PAPER = {name.removeprefix("paper/"): path for name, path in RECIPES.items() if name.startswith("paper/")}

# Data set, group size, steps scheduled and run, US dollars of training, rewards: the paper's tables and code (c6274cd).
ACCURACY_AND_FORMAT = {"accuracy": 2, "format": 1}
COSINE_AND_FORMAT = {"cosine": 2, "format": 1}
FORM = {"format": 1, "tag_count": 1, "length": 1, "reasoning_steps": 1, "repetition_penalty": 1}
SEVEN = {"accuracy": 1, "cosine": 1, **FORM}
LIMR, OPEN_RS, DEEPSCALER = "GAIR/LIMR", "knoveleng/open-rs", "agentica-org/DeepScaleR-Preview-Dataset"
RUNS = {
    "still": ("RUC-AIBOX/STILL-3-Preview-RL-Data", 4, (7500, 3750), 59, {"accuracy": 2, "length": 1}),
    "deepscaler": (DEEPSCALER, 4, (11000, 5500), 84, ACCURACY_AND_FORMAT),
    "ii-thought": ("Intelligent-Internet/II-Thought-RL-v0-Math-50K", 4, (13320, 6660), 102, ACCURACY_AND_FORMAT),
    "fastcurl": ("Nickyang/FastCuRL", 4, (11000, 5500), 84, ACCURACY_AND_FORMAT),
    "open-rs1": ("knoveleng/open-s1", 4, (5000, 2400), 40, ACCURACY_AND_FORMAT),
    "open-rs2": (OPEN_RS, 6, (1500, 850), 15, ACCURACY_AND_FORMAT),
    "open-rs3": (OPEN_RS, 6, (1500, 850), 15, COSINE_AND_FORMAT),
    "limr": (LIMR, 4, (360, 180), 4, ACCURACY_AND_FORMAT),
    "open-r1": ("open-r1/OpenR1-Math-220k", 8, None, 59, SEVEN),
    "open-thoughts": ("bethgelab/CuratedThoughts", 8, None, 84, SEVEN),
    "l1-exact": (DEEPSCALER, 4, (11000, 5500), 84, {"length_l1_exact": 1}),
    "l1-max": (DEEPSCALER, 4, (11000, 5500), 84, {"length_l1_max": 1}),
    **{f"limr-{what}": (LIMR, 4, (360, 180), 3.5, ACCURACY_AND_FORMAT) for what in ("lr-5e-6", "lr-5e-7")},
    **{f"limr-{what}": (LIMR, 4, (360, 180), 3.5, ACCURACY_AND_FORMAT) for what in ("r4", "r8", "r16", "r64")},
    "open-rs3-dr-grpo": (OPEN_RS, 6, (1500, 850), 15, COSINE_AND_FORMAT),
    "open-rs3-8960": (OPEN_RS, 6, (1500, 850), 15, COSINE_AND_FORMAT),
    "open-rs3-format-only": (OPEN_RS, 6, (1500, 850), 15, FORM),
}


FIVE_ROWS = Path(__file__).parent / "data_sets"
SHAPES = {
    "RUC-AIBOX/STILL-3-Preview-RL-Data": "still",
    DEEPSCALER: "deepscaler",
    "Intelligent-Internet/II-Thought-RL-v0-Math-50K": "ii-thought",
    "Nickyang/FastCuRL": "fastcurl",
    "knoveleng/open-s1": "open-s1",
    OPEN_RS: "open-rs",
    LIMR: "limr",
    "open-r1/OpenR1-Math-220k": "open-r1",
    "bethgelab/CuratedThoughts": "open-thoughts",
    "DigitalLearningGmbH/MATH-lighteval": "math",
    "openai/gsm8k": "gsm8k",
}
GOLDS = {
    "still": {0: "15", 1: "\\frac{3}{4}", 2: "32", 3: "\\pm\\sqrt{2}", 4: "[1,3)"},
    "deepscaler": {0: "56", 1: "-\\frac{2}{3}", 2: "8", 3: "5 \\sqrt{2}", 4: "1,234"},
    "ii-thought": {0: "32", 1: "\\frac{1}{4}", 2: "x = \\pm 1", 3: "120"},
    "fastcurl": {0: "144", 1: "6", 2: "\\frac{1}{2}", 3: "25", 4: "6"},
    "open-s1": {0: "55", 1: "\\frac{1}{4}", 3: "6", 4: "3"},
    "open-rs": {0: "120", 1: "\\frac{7}{2}", 2: "9", 3: "9 \\pi", 4: "(2, 1)"},
    "limr": {0: "2", 1: "9", 2: "0.75", 3: "16", 4: "-2"},
    "open-r1": {0: "81", 1: "B", 2: "x=3 \\text{ or } x=-3", 3: "3000 \\mathrm{~m}"},
    "open-thoughts": {0: "7", 1: "x^2+2x+1", 2: "\\frac{7}{2}", 4: "12"},
    "math": {0: "81", 1: "(x-2)(x+2)", 2: "12", 3: "-1", 4: "\\frac12"},
    "gsm8k": {0: "7", 1: "180", 2: "18", 3: "1,080,000", 4: "-5"},
}
"""Row -> gold; rows without an answer are left out: a proof, a lost answer, a solution that boxes nothing."""


@pytest.mark.parametrize("name", RECIPES)
def test_it_is_valid_and_says_what_it_is_for(name):
    recipe = load_recipe(RECIPES[name])
    assert recipe.budget.max_usd is not None, "a shipped recipe has a budget"
    for reward in recipe.rewards:
        resolve(reward.name, reward.params, recipe.folder)
    assert len(headline(RECIPES[name])) > 20
    assert recipe.name == "quickstart" or "-" in recipe.name


def test_names_of_runs_are_unique():
    names = [load_recipe(path).name for path in RECIPES.values()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", RUNS)
def test_the_papers_numbers(name):
    recipe = load_recipe(PAPER[name])
    source, group, steps, usd, rewards = RUNS[name]
    scheduled, run = steps or (None, None)
    assert (recipe.data.source, recipe.rollout.num_generations) == (source, group)
    assert (recipe.optim.schedule_steps, recipe.stop.max_steps, recipe.budget.max_usd) == (scheduled, run, usd)
    assert {reward.name: reward.weight for reward in recipe.rewards} == rewards
    assert recipe.rollout.prompts_per_step == 8  # 2 GPUs x 4 accumulated x G completions / G
    assert (recipe.rollout.temperature, recipe.rollout.max_prompt_length, recipe.seed) == (0.7, 512, 42)
    assert recipe.rollout.max_completion_length == (8960 if name.endswith("8960") else 3584)
    assert recipe.lora.alpha == 4 * recipe.lora.r
    assert recipe.lora.r == {"limr-r4": 4, "limr-r8": 8, "limr-r16": 16, "limr-r64": 64}.get(name, 32)
    assert recipe.optim.learning_rate == {"limr-lr-5e-6": 5e-6, "limr-lr-5e-7": 5e-7}.get(name, 1e-6)
    assert recipe.grpo.scale_rewards == ("none" if name in ("open-rs3-dr-grpo", "open-rs3-8960") else "group")
    assert (recipe.data.target_length is not None) == name.startswith("l1-")


def test_every_run_of_the_paper_ships():
    assert set(PAPER) == set(RUNS)


@pytest.mark.parametrize("name", [name for name in RECIPES if name.startswith("cards/")])
def test_a_card_changes_nothing_that_is_learnt(name):
    main, fitted = load_recipe(PAPER["open-rs2"]), load_recipe(RECIPES[name])
    kept = main.model_copy(update={"name": fitted.name, "rollout": fitted.rollout, "optim": fitted.optim})
    assert fitted.model_dump() == kept.model_dump()
    assert fitted.rollout.model_copy(update={"kv_tokens": None}) == main.rollout
    assert fitted.optim.micro_batch_tokens >= fitted.rollout.max_prompt_length + fitted.rollout.max_completion_length
    assert fitted.rollout.kv_tokens <= 48 * (512 + 3584)


def by_hand(name: str) -> dict[str, object]:
    """The recipe's data set, as five rows of its shape; a source that makes its own problems stays."""
    source = load_recipe(RECIPES[name]).data.source
    if source not in SHAPES:
        return {}
    unmeasured = {"eval.benchmarks": [], "eval.best": False}  # what is held out of five rows may be none
    return {"data.source": str(FIVE_ROWS / f"{SHAPES[source]}.jsonl"), "data.config": None, **unmeasured}


@pytest.mark.parametrize("name", RECIPES)
def test_its_dry_run_works_without_a_network(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = {"model.id": "builtin:tiny", "rollout.max_prompt_length": 2000, **by_hand(name)}
    recipe = load_recipe(RECIPES[name], settings)
    lines = "\n".join(dry_run(recipe, rate=0.01))
    assert any(problem.question in lines for problem in problems_of(recipe).train)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("source", SHAPES)
def test_each_data_sets_rows_are_read_as_they_are_meant(source):
    name = next(name for name, path in RECIPES.items() if load_recipe(path).data.source == source)
    train = problems_of(load_recipe(RECIPES[name], by_hand(name))).train
    assert {problem.index: problem.answer for problem in train} == GOLDS[SHAPES[source]]
    assert all("?" in problem.question or "." in problem.question for problem in train)


@pytest.mark.parametrize("name", ["paper/limr", "paper/open-r1", "cards/8gb"])
def test_as_it_stands_it_says_which_data_is_out_of_reach(name, tmp_path, tina, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = tina("run", name, "--dry-run", "--rate", "1")
    assert (done.code, done.err) == (0, "")
    assert f"could not load the data set {load_recipe(RECIPES[name]).data.source!r}" in done.out
    assert not list(tmp_path.iterdir())


def test_no_folder_hides_one_and_a_file_does(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quickstart").mkdir()
    assert find_recipe(Path("quickstart")) == RECIPES["quickstart"]
    (tmp_path / "paper").mkdir()
    (tmp_path / "paper" / "limr").write_text("name: mine\n")
    assert find_recipe(Path("paper/limr")) == Path("paper/limr")


def test_a_copied_recipe_still_extends_what_ships(tmp_path):
    copy = tmp_path / "mine.yaml"
    copy.write_text(Path(RECIPES["cards/8gb"]).read_text())
    assert load_recipe(copy).model_dump() == load_recipe(RECIPES["cards/8gb"]).model_dump()


@pytest.mark.parametrize("name", RECIPES)
def test_it_is_short(name):
    assert len(RECIPES[name].read_text().splitlines()) <= 25
