"""What a name that a person gives stands for, by a few small files: a run, an adapter folder, or a model."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from tina_lite.recipe import Recipe, load_recipe
from tina_lite.recipe.schema import ModelSection
from tina_lite.runs.look import found_again
from tina_lite.util.errors import BadInput
from tina_lite.util.hub import HUB_ID, repo_and_revision

Quantization = Literal["nf4", "none"]
CONFIG, TENSORS = "adapter_config.json", "adapter_model.safetensors"
OF_ITS_OWN = {
    "alora_invocation_tokens", "alpha_pattern", "corda_config", "eva_config", "exclude_modules", "layer_replication",
    "layers_to_transform", "lora_bias", "lora_ga_config", "modules_to_save", "rank_pattern", "target_parameters",
    "trainable_token_indices", "use_bdlora", "use_dora", "use_qalora", "use_rslora",
}  # fmt: skip
"""Fields of PEFT's config that make an adapter another function than W + (alpha / r) B A on each layer."""
PLAIN_STARTS = (None, True, False, "gaussian", "orthogonal")
"""Of init_lora_weights: the others (PiSSA, OLoRA, LoftQ, CorDA, EVA, ...) start from another base than that named."""


@dataclass(frozen=True, slots=True)
class ModelRef:
    """What a name stands for."""

    name: str
    """Short, for people and for folders."""
    model_id: str
    """The base, as `model.id` of a recipe names it."""
    adapter: Path | None
    """In PEFT's layout; None: the base alone."""
    quantization: Quantization
    compute_dtype: str
    run: Path | None
    """The run folder that the adapter stands in."""
    recipe: Recipe | None
    """That run's."""
    template_kwargs: Mapping[str, Any] = field(default_factory=dict)
    """Switches of the chat template."""

    @property
    def model(self) -> ModelSection:
        """The base as a recipe has it."""
        section = ModelSection(id=self.model_id, quantization=self.quantization)
        return section.model_copy(update={"compute_dtype": self.compute_dtype})

    @property
    def base(self) -> "ModelRef":
        """The same base without the adapter, loaded in the same way."""
        return replace(self, name=short_name(self.model_id), adapter=None)


def resolve(name: str, quantization: Quantization | None = None) -> ModelRef:
    """What `name` stands for. BadInput where it is nothing that can be opened.

    A run, or an adapter inside one, has its recipe's base and quantization. An adapter on its own is laid on a base in
    NF4, as it was probably trained; a model is taken as it is. `quantization` overrides.
    """
    name = os.path.expanduser(name)
    folder = Path(name)
    if (folder / "recipe.yaml").is_file():
        target = _of_run(folder, folder / "adapter")
    elif (folder / CONFIG).is_file():
        target = _of_adapter(folder)
    elif (folder / "config.json").is_file() or name.startswith("builtin:") or _is_hub_id(name, folder):
        target = ModelRef(short_name(name), name, None, "none", "auto", None, None)
    else:
        holds = "holds neither recipe.yaml (a run), adapter_config.json nor config.json (a model)"
        raise BadInput(f"{name}: {holds if folder.is_dir() else 'no such folder, and no hub id'}")
    return target if quantization is None else replace(target, quantization=quantization)


def short_name(model_id: str) -> str:
    """Shorten a model's name for tables.

    >>> short_name("Qwen/Qwen2.5-1.5B-Instruct@main"), short_name("builtin:tiny"), short_name("models/mine/")
    ('Qwen2.5-1.5B-Instruct', 'builtin-tiny', 'mine')
    """
    return repo_and_revision(model_id)[0].rstrip("/").rpartition("/")[2].replace(":", "-")


def _is_hub_id(name: str, folder: Path) -> bool:
    return not folder.exists() and not name.startswith((".", "/", "~")) and HUB_ID.fullmatch(name) is not None


def _of_run(run: Path, adapter: Path) -> ModelRef:
    recipe = found_again(load_recipe(run / "recipe.yaml"), run)
    if not (adapter / CONFIG).is_file():
        raise BadInput(f"{run}: has no adapter yet ({adapter.name}/ is missing); a run writes it when it ends")
    name = run.resolve().name if adapter.name == "adapter" else f"{run.resolve().name}-{adapter.name}"
    model = recipe.model
    switches = recipe.data.chat_template_kwargs
    return ModelRef(name, model.id, adapter, model.quantization, model.compute_dtype, run, recipe, switches)


def _of_adapter(folder: Path) -> ModelRef:
    run = folder.resolve().parent
    if (run / "recipe.yaml").is_file():
        return _of_run(run, folder.resolve())
    config = read_config(folder)
    base, revision = config.get("base_model_name_or_path"), config.get("revision")
    if not isinstance(base, str) or not base:
        raise BadInput(f"{folder / CONFIG}: does not name its base in base_model_name_or_path; write it there")
    if base.startswith("/") and not Path(base).is_dir():
        raise BadInput(f"{folder / CONFIG}: its base {base} is not here; correct base_model_name_or_path")
    if revision and HUB_ID.fullmatch(base):
        base = f"{base}@{revision}"
    return ModelRef(folder.resolve().name, base, folder, "nf4", "auto", None, None)


def read_config(adapter: Path) -> Mapping[str, Any]:
    """Read adapter_config.json. BadInput where it cannot be read, or is of a kind that is not opened here."""
    path = adapter / CONFIG
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        r, alpha, targets = int(config["r"]), float(config["lora_alpha"]), config["target_modules"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path}: cannot be read as the config of a LoRA adapter ({error})") from error
    unlike = sorted(field for field in OF_ITS_OWN if config.get(field))
    if config.get("bias", "none") != "none":
        unlike.append("bias")
    if (start := config.get("init_lora_weights")) not in PLAIN_STARTS:
        unlike.append(f"init_lora_weights: {start}")
    if unlike:
        raise BadInput(f"{path}: {', '.join(unlike)} is not supported; merge the adapter with peft first")
    if isinstance(targets, str):  # a pattern, or all-linear
        config["target_modules"] = targets = _adapted(adapter)
    if r < 1 or alpha <= 0 or not isinstance(targets, list):
        raise BadInput(f"{path}: r, lora_alpha or target_modules is not that of a plain LoRA adapter")
    return config


def _adapted(adapter: Path) -> list[str]:
    """The whole names of the layers for which an adapter's file has tensors."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(adapter / TENSORS, "numpy") as file:
            return sorted({name.split(".lora_")[0].removeprefix("base_model.model.") for name in file.keys()})  # noqa: SIM118 (no dictionary)
    except (OSError, SafetensorError) as error:
        raise BadInput(f"{adapter / TENSORS}: cannot be read ({error}); copy the whole adapter folder") from error
