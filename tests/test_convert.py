"""Recipes from the configurations of other trainers: the same hyper-parameters, and what was lost by name."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from tina_lite import Recipe, load_recipe
from tina_lite.cli.recipes import recipes
from tina_lite.recipe.convert import convert_config, imported
from tina_lite.util.errors import BadInput

FILES = Path(__file__).parent / "convert"


def read(name: str, tmp_path: Path, gpus: int | None = None) -> tuple[Recipe, list[str]]:
    text, lost = convert_config(FILES / f"{name}.yaml", gpus)
    (tmp_path / "x.yaml").write_text(text)
    return load_recipe(tmp_path / "x.yaml"), lost


def names(lost: list[str]) -> set[str]:
    return {line.partition(":")[0] for line in lost}


def test_open_r1(tmp_path: Path) -> None:
    recipe, lost = read("open-r1", tmp_path)
    assert (recipe.model.id, recipe.model.quantization) == ("Qwen/Qwen2.5-1.5B-Instruct", "nf4")
    assert (recipe.lora.r, recipe.lora.alpha, recipe.lora.dropout) == (32, 128, 0.05)
    assert recipe.lora.target_modules == ("q_proj", "v_proj")
    assert (recipe.data.source, recipe.data.prompt, recipe.data.system_prompt) == (
        "knoveleng/open-rs",
        "problem",
        "Think first.",
    )
    rollout = recipe.rollout
    assert (rollout.prompts_per_step, rollout.num_generations) == (8, 6)  # 6 x 4 x 2 / 6
    assert (rollout.max_prompt_length, rollout.max_completion_length, rollout.temperature) == (512, 3584, 0.7)
    assert (recipe.grpo.loss_type, recipe.grpo.beta, recipe.grpo.scale_rewards) == ("grpo", 0.04, "group")
    optim = recipe.optim
    assert (optim.learning_rate, optim.lr_scheduler_type, optim.min_lr_ratio, optim.warmup_ratio) == (
        1e-6,
        "cosine",
        0.1,
        0.1,
    )
    assert [(one.name, one.weight, one.params) for one in recipe.rewards] == [
        ("format", 1.0, {}),
        ("cosine", 2.0, {"wrong_long": -1.0, "max_length": 3584}),
        ("my_module:brief", 0.5, {}),
    ]
    assert (recipe.stop.max_steps, recipe.checkpoint.every_steps, recipe.track) == (1500, 50, ("wandb",))
    assert names(lost) == {
        "reward_funcs", "model_revision", "torch_dtype", "attn_implementation", "bf16", "use_vllm", "output_dir",
        "vllm_gpu_memory_utilization", "gradient_checkpointing", "num_train_epochs", "save_strategy", "push_to_hub",
    }  # fmt: skip
    assert not any("has no place" in line for line in lost)


def test_tina(tmp_path: Path) -> None:
    """Its own names for rewards and data, and a model without its owner."""
    recipe, lost = read("tina", tmp_path)
    assert (recipe.model.id, recipe.data.source) == (
        "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B",
        "RUC-AIBOX/STILL-3-Preview-RL-Data",
    )
    assert [(one.name, one.weight, one.params) for one in recipe.rewards] == [
        ("cosine", 1.0, {"max_length": 3584}),
        ("accuracy", 2.0, {}),
    ]
    assert (recipe.stop.max_steps, recipe.rollout.prompts_per_step) == (7500, 4)
    assert names(lost) == {"load_in_4bit"} or not lost


def test_trl_and_its_defaults(tmp_path: Path) -> None:
    recipe, lost = read("trl", tmp_path)
    assert recipe.model.quantization == "none"
    assert (recipe.rollout.prompts_per_step, recipe.rollout.num_generations) == (4, 8)  # 16 x 2 / 8
    assert (recipe.rollout.max_completion_length, recipe.rollout.temperature) == (512, 1.0)
    assert (recipe.grpo.loss_type, recipe.grpo.beta) == ("dapo", 0.0)
    assert (recipe.optim.lr_scheduler_type, recipe.optim.min_lr_ratio, recipe.optim.warmup_ratio) == ("linear", 0, 0.05)
    assert [one.name for one in recipe.rewards] == ["accuracy"]
    assert names(lost) == {"use_peft", "logging_steps", "bf16"}
    assert read("trl", tmp_path, gpus=4)[0].rollout.prompts_per_step == 16


@pytest.mark.parametrize(
    ("text", "loss", "high", "lost_names"),
    [
        ("loss_type: grpo\nimportance_sampling_level: sequence\nepsilon: 3e-4\n", "gspo", None, set()),
        ("loss_type: dapo\nimportance_sampling_level: sequence\n", "gspo", None, {"loss_type"}),
        ("importance_sampling_level: token\n", "dapo", None, set()),
        ("loss_type: cispo\n", "cispo", 0.2, set()),
        ("loss_type: cispo\nepsilon: 0.3\n", "cispo", 0.3, set()),
        ("loss_type: cispo\nepsilon_high: 4.0\n", "cispo", 4.0, set()),
    ],
)
def test_losses_that_have_other_names_or_other_defaults(tmp_path, text, loss, high, lost_names) -> None:
    file = tmp_path / "theirs.yaml"
    file.write_text(f"model_name_or_path: x\ndataset_name: y\nreward_funcs: [accuracy_reward]\nuse_peft: true\n{text}")
    yaml, lost = convert_config(file)
    mine = tmp_path / "mine.yaml"
    mine.write_text(yaml)
    grpo = load_recipe(mine).grpo
    assert (grpo.loss_type, grpo.epsilon_high) == (loss, high)
    assert names(lost) == lost_names


def test_axolotl(tmp_path: Path) -> None:
    recipe, lost = read("axolotl", tmp_path)
    assert (recipe.model.quantization, recipe.lora.r, recipe.lora.alpha, recipe.lora.dropout) == ("nf4", 16, 64, 0.0)
    assert recipe.lora.target_modules == ("all-linear",)
    assert (recipe.data.source, recipe.data.config, recipe.data.split) == ("openai/gsm8k", "main", "train")
    assert recipe.data.held_out == 0.1
    assert (recipe.rollout.prompts_per_step, recipe.rollout.num_generations) == (4, 4)
    assert recipe.rollout.max_completion_length == 1024
    assert (recipe.grpo.beta, recipe.optim.min_lr_ratio, recipe.optim.warmup_ratio) == (0.001, 0.2, 0.1)
    assert [one.name for one in recipe.rewards] == ["rewards:correct"]
    assert recipe.stop.max_steps == 300
    assert names(lost) == {"datasets.0.type", "use_vllm", "sequence_len", "optimizer", "wandb_project"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\n", "names neither a model nor rewards"),
        ("base_model: x\nrl: dpo\n", "rl: dpo: only grpo"),
        (
            "model_name_or_path: x\ndataset_name: y\nper_device_train_batch_size: 3\n",
            "no whole groups of 8; say how many",
        ),
        ("model_name_or_path: x\ndataset_name: y\nlearning_rate: fast\n", "optim.learning_rate: "),
        ("model_name_or_path: x\n", "data: "),
        ("model_name_or_path: [\n", "broken YAML"),
        ("model_name_or_path: x\ndataset_name: y\nnum_generations: many\n", "cannot be read as a configuration"),
    ],
)
def test_what_cannot_be_read_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "theirs.yaml").write_text(text)
    with pytest.raises(BadInput) as error:
        convert_config(tmp_path / "theirs.yaml")
    assert said in str(error.value)
    assert "theirs.yaml" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_schedule_of_absolute_rates_and_an_unknown_one() -> None:
    base = {"model_name_or_path": "x", "dataset_name": "y", "learning_rate": 1e-5}
    found = imported({**base, "lr_scheduler_type": "cosine_with_min_lr", "lr_scheduler_kwargs": {"min_lr": 1e-6}})
    assert found.fields["optim"]["min_lr_ratio"] == pytest.approx(0.1)
    found = imported({**base, "lr_scheduler_type": "polynomial"})
    assert found.fields["optim"]["lr_scheduler_type"] == "cosine"
    assert "lr_scheduler_type" in names(found.lost)


def test_on_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(recipes, ["import", str(FILES / "open-r1.yaml")], catch_exceptions=False)
    assert done.stdout == "open-r1-recipe.yaml\n"
    assert "not carried over: use_vllm: it samples with its own engine" in done.stderr
    text = (tmp_path / "open-r1-recipe.yaml").read_text()
    assert text.startswith("# From open-r1.yaml.\n#\n# Not carried over:\n#   ")
    assert load_recipe(tmp_path / "open-r1-recipe.yaml").name == "open-r1"
    with pytest.raises(BadInput, match="exists already"):
        CliRunner().invoke(recipes, ["import", str(FILES / "open-r1.yaml")], catch_exceptions=False)
