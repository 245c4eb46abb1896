"""A recipe from the configuration of another trainer: TRL's, open-r1's or Tina's YAML for GRPO, Axolotl's."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from io import StringIO
from math import prod
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML

from tina_lite.recipe.file import plain, read_yaml
from tina_lite.recipe.schema import Recipe
from tina_lite.util.as_typed import as_list
from tina_lite.util.errors import BadInput

COPIED = {
    "model_name_or_path": "model.id",
    "seed": "seed",
    "lora_r": "lora.r",
    "lora_alpha": "lora.alpha",
    "lora_dropout": "lora.dropout",
    "dataset_name": "data.source",
    "dataset_config": "data.config",
    "dataset_config_name": "data.config",
    "dataset_train_split": "data.split",
    "dataset_prompt_column": "data.prompt",
    "system_prompt": "data.system_prompt",
    "num_generations": "rollout.num_generations",
    "max_prompt_length": "rollout.max_prompt_length",
    "max_completion_length": "rollout.max_completion_length",
    "temperature": "rollout.temperature",
    "top_p": "rollout.top_p",
    "min_p": "rollout.min_p",
    "loss_type": "grpo.loss_type",
    "epsilon": "grpo.epsilon",
    "epsilon_high": "grpo.epsilon_high",
    "delta": "grpo.delta",
    "beta": "grpo.beta",
    "num_iterations": "grpo.num_iterations",
    "mask_truncated_completions": "grpo.mask_truncated_completions",
    "learning_rate": "optim.learning_rate",
    "warmup_ratio": "optim.warmup_ratio",
    "max_grad_norm": "optim.max_grad_norm",
    "adam_beta1": "optim.adam_beta1",
    "adam_beta2": "optim.adam_beta2",
    "weight_decay": "optim.weight_decay",
    "save_steps": "checkpoint.every_steps",
    "save_total_limit": "checkpoint.keep",
}
"""TRL's name -> ours."""
TRL_DEFAULTS: dict[str, Any] = {
    "seed": 42,
    "lora_r": 16,
    "lora_alpha": 32,
    "lora_dropout": 0.05,
    "num_generations": 8,
    "max_completion_length": 512,
    "temperature": 1.0,
    "loss_type": "dapo",
    "beta": 0.0,
    "learning_rate": 1e-6,
    "warmup_ratio": 0.0,
    "lr_scheduler_type": "linear",
}
"""Of TRL 1.15, where they are not ours."""
TRL_EPSILON = 0.2
AXOLOTL_NAMES = {
    "base_model": "model_name_or_path",
    "micro_batch_size": "per_device_train_batch_size",
    "num_epochs": "num_train_epochs",
    "lr_scheduler": "lr_scheduler_type",
    "cosine_min_lr_ratio": "min_lr_rate",
    "saves_per_epoch": "save_strategy",
}
TINA_NAMES = {
    "rl_post_train_reward_funcs": "reward_funcs",
    "rl_post_train_reward_weights": "reward_weights",
    "model_post_train_dataset_name": "dataset_name",
    "model_post_train_dataset_config": "dataset_config",
}
TINA_DATA = {
    "curated_deepscaler": ("agentica-org/DeepScaleR-Preview-Dataset", None),
    "curated_limr": ("GAIR/LIMR", None),
    "curated_open_r1": ("open-r1/OpenR1-Math-220k", "default"),
    "curated_open_rs1": ("knoveleng/open-s1", None),
    "curated_open_rs2": ("knoveleng/open-rs", None),
    "curated_open_rs3": ("knoveleng/open-rs", None),
    "curated_still": ("RUC-AIBOX/STILL-3-Preview-RL-Data", None),
    "curated_thoughts": ("bethgelab/CuratedThoughts", "OpenThoughts-114k-math-default"),
}
"""The names of Tina's own files (recipes/ of its repository) -> data set of the hub and its config."""
TINA_MODELS = {"DeepSeek-R1-Distill-Qwen-1.5B": "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"}
"""Which it loads from a folder of that name."""
REWARDS = {
    "accuracy_reward": "accuracy",
    "think_format_reward": "format",
    "soft_overlong_punishment": "soft_overlong",
    "get_soft_overlong_punishment": "soft_overlong",
    **{
        name: name
        for name in ("accuracy", "format", "tag_count", "reasoning_steps", "length", "cosine", "repetition_penalty")
    },
}
"""Of TRL and open-r1 -> ours."""
REWARD_PARAMS = {
    "cosine": {
        "cosine_min_value_wrong": "wrong_long",
        "cosine_max_value_wrong": "wrong_short",
        "cosine_min_value_correct": "correct_long",
        "cosine_max_value_correct": "correct_short",
        "cosine_max_len": "max_length",
    },
    "repetition_penalty": {"repetition_n_grams": "ngram_size", "repetition_max_penalty": "max_penalty"},
    "soft_overlong": {"max_completion_len": "max_length", "soft_punish_cache": "soft_punish_cache"},
}
WITHOUT_PLACE = {
    "the run computes in what the machine is fast in": "bf16 fp16 torch_dtype dtype tf32 model_revision",
    "memory and kernels are laid out by tina-lite": "gradient_checkpointing gradient_checkpointing_kwargs optim "
    "optimizer attn_implementation flash_attention sample_packing use_liger_kernel use_liger_loss",
    "it samples with its own engine": "use_vllm vllm",
    "see the --out option": "output_dir overwrite_output_dir run_name save_strategy",
    "a run ends by steps, hours or dollars: set stop.max_steps": "num_train_epochs",
    "see eval.benchmarks and eval.every": "do_eval eval_strategy eval_steps per_device_eval_batch_size",
    "see rollout.max_prompt_length and rollout.max_completion_length": "max_length sequence_len",
    "the model's own is used": "chat_template special_tokens",
    "no code that comes with a model is run": "trust_remote_code",
}
"""Reason -> names."""
PREFIXES = {
    "vllm_": "it samples with its own engine",
    "hub_": "see tina-lite export",
    "push_to_hub": "see tina-lite export",
    "log": "every step is kept in metrics.jsonl",
    "wandb_": "see track",
    "trackio_": "see track",
    "ddp_": "there is one card",
    "fsdp": "there is one card",
    "deepspeed": "there is one card",
}
TRACKERS = ("tensorboard", "wandb", "trackio")


# A recipe from the configuration of another trainer: TRL's, open-r1's or Tina's YAML for GRPO, Axolotl's.
#
# What a file does not say has TRL's default, not ours, so that the hyper-parameters are the same. What cannot be
# carried over is named with the reason.


@dataclass
class Imported:
    """The fields of a recipe, nested, and what could not be carried over."""

    fields: dict[str, Any] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)

    def put(self, dotted: str, value: Any) -> None:
        *sections, last = dotted.split(".")
        node = self.fields
        for section in sections:
            node = node.setdefault(section, {})
        node[last] = value


def imported(document: Mapping[str, Any], gpus: int | None = None) -> Imported:
    """Read another trainer's configuration.

    Args:
        document: its YAML.
        gpus: processes that it ran on, each with a batch of its own; default: num_processes of the file, else 1.

    Raises:
        BadInput: it is none of GRPO's, or its batch holds no whole group.
    """
    found = Imported()
    if "base_model" in document:
        document = _as_trl(document, found)
    elif set(TINA_NAMES) & set(document):
        document = _tina_as_trl(document)
    elif not {"model_name_or_path", "num_generations", "reward_funcs"} & set(document):
        raise BadInput("it names neither a model nor rewards, as GRPO's files of TRL, open-r1 and Axolotl do")
    given = {name: value for name, value in document.items() if value is not None}
    rest = {**TRL_DEFAULTS, **given}
    for name, place in COPIED.items():
        if name in rest:
            found.put(place, rest.pop(name))
    for take in (_model, _sampling, _loss, _schedule, _rewards, _ends):
        take(rest, found)
    _batch(rest, found, gpus)
    found.lost += [f"{name}: {_why(name)}" for name in rest if name in given]
    return found


def _as_trl(document: Mapping[str, Any], found: Imported) -> dict[str, Any]:
    """Axolotl's names as TRL's; its block `trl` holds TRL's own."""
    if document.get("rl") != "grpo":
        raise BadInput(f"rl: {document.get('rl')}: only grpo can be carried over")
    flat = {AXOLOTL_NAMES.get(name, name): value for name, value in document.items() if name not in ("trl", "rl")}
    flat |= document.get("trl") or {}
    flat["use_peft"] = flat.pop("adapter", None) is not None
    if flat.pop("lora_target_linear", False):
        flat["lora_target_modules"] = "all-linear"
    share = flat.pop("val_set_size", None) or 0
    if 0 < share < 1:
        found.put("data.held_out", share)
    _data_sets(flat.pop("datasets", None) or [], found)
    return flat


def _tina_as_trl(document: Mapping[str, Any]) -> dict[str, Any]:
    """The names of Tina's own files, which are TRL's but for rewards and data."""
    flat = {TINA_NAMES.get(name, name): value for name, value in document.items() if name != "model_post_train_type"}
    source, config = TINA_DATA.get(str(flat.get("dataset_name")), (flat.get("dataset_name"), None))
    flat |= {"dataset_name": source, "dataset_config": flat.get("dataset_config") or config}
    model = flat.get("model_name_or_path")
    return {**flat, "model_name_or_path": TINA_MODELS.get(str(model), model)}


def _data_sets(sets: list[dict[str, Any]], found: Imported) -> None:
    names = {"path": "source", "name": "config", "split": "split"}
    parts = [{ours: one[theirs] for theirs, ours in names.items() if one.get(theirs)} for one in sets]
    if len(parts) == 1:
        found.fields.setdefault("data", {}).update(parts[0])
    elif parts:
        found.put("data.mixture", parts)
    found.lost += [
        f"datasets.{number}.type: {one['type']} is code of its own; name the columns with data.prompt and data.answer"
        for number, one in enumerate(sets)
        if "type" in one
    ]


def _model(rest: dict[str, Any], found: Imported) -> None:
    if "lora_target_modules" in rest:
        found.put("lora.target_modules", rest.pop("lora_target_modules"))
    if not rest.pop("use_peft", False):
        found.lost.append("use_peft: all parameters were trained there; an adapter bears a ten times higher rate")
    if not rest.pop("load_in_4bit", False):
        found.put("model.quantization", "none")


def _sampling(rest: dict[str, Any], found: Imported) -> None:
    top_k = rest.pop("top_k", 0)
    if top_k > 0:
        found.put("rollout.top_k", top_k)
    scale = rest.pop("scale_rewards", "group")
    found.put("grpo.scale_rewards", {True: "group", False: "none"}.get(scale, scale))


def _loss(rest: dict[str, Any], found: Imported) -> None:
    """TRL's sequence level is gspo here; cispo's cap is its epsilon where none is named, and 5 here."""
    grpo = found.fields["grpo"]
    if rest.pop("importance_sampling_level", "token") == "sequence":
        if grpo["loss_type"] != "grpo":
            found.lost.append(f"loss_type: {grpo['loss_type']} by sequence is gspo here, a mean over completions")
        grpo["loss_type"] = "gspo"
    elif grpo["loss_type"] == "cispo":
        grpo.setdefault("epsilon_high", grpo.get("epsilon", TRL_EPSILON))


def _schedule(rest: dict[str, Any], found: Imported) -> None:
    kind, settings = str(rest.pop("lr_scheduler_type")), rest.pop("lr_scheduler_kwargs", None) or {}
    lowest = rest.pop("min_lr_rate", settings.get("min_lr_rate", 0.0))
    if "min_lr" in settings:
        lowest = float(settings["min_lr"]) / float(found.fields["optim"]["learning_rate"])
    known = {"cosine_with_min_lr": "cosine", "constant_with_warmup": "constant"}.get(kind, kind)
    if known not in ("cosine", "linear", "constant"):
        found.lost.append(f"lr_scheduler_type: {kind} is not known here; cosine takes its place")
        known = "cosine"
    found.put("optim.lr_scheduler_type", known)
    found.put("optim.min_lr_ratio", lowest)
    steps, warmup = rest.get("max_steps") or 0, rest.pop("warmup_steps", 0)
    if warmup and steps > 0:
        found.put("optim.warmup_ratio", round(warmup / steps, 4))
    elif warmup:
        found.lost.append(
            f"warmup_steps: set optim.warmup_ratio to the share that {warmup} steps are of stop.max_steps"
        )


def _rewards(rest: dict[str, Any], found: Imported) -> None:
    names = as_list(rest.pop("reward_funcs", []))
    weights = rest.pop("reward_weights", [1.0] * len(names))
    rewards = []
    for name, weight in zip(names, weights, strict=False):
        module, _, function = name.rpartition(".")
        own = REWARDS.get(function) or (f"{module}:{function}" if module else None)
        if own is None:
            found.lost.append(f"reward_funcs: {name} is not known here; name its function as module:{name}")
            continue
        params = {ours: rest.pop(theirs) for theirs, ours in REWARD_PARAMS.get(own, {}).items() if theirs in rest}
        rewards.append({"name": own, "weight": weight, **params})
    if rewards:
        found.put("rewards", rewards)
    else:
        found.lost.append("reward_funcs: none of them is known here; accuracy and format take their place")


def _ends(rest: dict[str, Any], found: Imported) -> None:
    steps = rest.pop("max_steps", None) or 0
    if steps > 0:
        found.put("stop.max_steps", steps)
    if known := [name for name in as_list(rest.pop("report_to", [])) if name in TRACKERS]:
        found.put("track", known)


def _batch(rest: dict[str, Any], found: Imported, gpus: int | None) -> None:
    """Completions of an optimiser step: a device's batch x accumulated x devices; prompts are that over the group."""
    devices = rest.pop("num_processes", 1)
    sizes = [rest.pop("per_device_train_batch_size", 8), rest.pop("gradient_accumulation_steps", 1), gpus or devices]
    group = found.fields["rollout"]["num_generations"]
    prompts, over = divmod(prod(map(int, sizes)), int(group))
    if over:
        raise BadInput(
            f"a step of {' x '.join(map(str, sizes))} completions (per_device_train_batch_size x "
            f"gradient_accumulation_steps x devices) holds no whole groups of {group}; say how many --gpus it ran on"
        )
    found.put("rollout.prompts_per_step", prompts)


def _why(name: str) -> str:
    known = (reason for reason, names in WITHOUT_PLACE.items() if name in names.split())
    begun = (reason for start, reason in PREFIXES.items() if name.startswith(start))
    return next(known, None) or next(begun, "has no place in a recipe")


def convert_config(file: Path, gpus: int | None = None) -> tuple[str, list[str]]:
    """A recipe's YAML from a file of another trainer, and what was lost. BadInput in one line where there is none."""
    document = plain(read_yaml(file))
    try:
        found = imported(document, gpus)
    except (TypeError, ValueError, AttributeError) as error:
        raise BadInput(f"{file}: cannot be read as a configuration of GRPO ({error})") from None
    except BadInput as error:
        raise BadInput(f"{file}: {error}") from None
    if "data" not in found.fields:
        raise BadInput(f"{file}: data: none is named; add dataset_name, a hub id or a file")
    found.fields.setdefault("name", file.stem)
    try:
        Recipe.model_validate(found.fields)
    except ValidationError as error:
        fault = error.errors()[0]
        raise BadInput(f"{file}: {'.'.join(map(str, fault['loc']))}: {fault['msg']}") from None
    return _as_yaml(found, file.name), found.lost


def _as_yaml(found: Imported, source: str) -> str:
    order = [name for name in Recipe.model_fields if name in found.fields]
    yaml, out = YAML(), StringIO()
    yaml.width = 110
    yaml.dump({name: found.fields[name] for name in order}, out)
    head = [f"# From {source}."]
    if found.lost:
        head += ["#", "# Not carried over:", *(f"#   {line}" for line in found.lost)]
    return "\n".join(head) + "\n" + out.getvalue()
