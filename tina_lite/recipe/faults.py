"""What is wrong with a recipe, in a line: file, line and field, what was found, what is allowed, the nearest spelling.

recipes/x.yaml:7: optim.learning_rte: unknown field; did you mean learning_rate?
"""

from collections.abc import Iterable, Mapping
from typing import Any, get_args

from pydantic import BaseModel

from tina_lite.as_typed import looks_like_digits, with_point
from tina_lite.errors import nearest
from tina_lite.recipe.file import RecipeFile, plain
from tina_lite.recipe.schema import Electricity, Recipe, RewardSection

# What people type who come from elsewhere, and the field that they mean.
SYNONYMS = {
    "lora_r": "lora.r",
    "lora_rank": "lora.r",
    "rank": "r",
    "lora_alpha": "alpha",
    "lora_dropout": "dropout",
    "lora_target_modules": "lora.target_modules",
    "model_name_or_path": "model.id",
    "base_model": "model.id",
    "load_in_4bit": "model.quantization: nf4",
    "dataset_name": "data.source",
    "max_new_tokens": "rollout.max_completion_length",
    "n": "num_generations",
    "train_batch_size": "rollout.prompts_per_step",
    "per_device_train_batch_size": "rollout.prompts_per_step",
    "gradient_accumulation_steps": "rollout.prompts_per_step",
    "importance_sampling_level": "grpo.loss_type: gspo",
    "reward_funcs": "rewards: [{name: ...}]",
    "reward_weights": "rewards: [{name: ..., weight: ...}]",
    "warmup_steps": "warmup_ratio",
    "save_steps": "checkpoint.every_steps",
    "save_total_limit": "checkpoint.keep",
    "output_dir": "the --out option",
    "report_to": "track: [tensorboard]",
    "lr": "learning_rate",
    "max_cost": "max_usd",
    "stop_strings": "rollout.stop",
    "stop_sequences": "rollout.stop",
}


def explain(fault: Any, file: RecipeFile, fields: Any, overrides: Iterable[str]) -> str:
    """One line for one fault of pydantic's."""
    # Union branches add their own names to the place; a person knows only keys and numbers.
    place = [part for part in fault["loc"] if isinstance(part, int) or part in _FIELD_NAMES or _is_key(fields, part)]
    dotted = ".".join(map(str, place))
    given = next((name for name in overrides if dotted == name or name.startswith(f"{dotted}.")), None)
    where = "--set" if given or dotted in overrides else file.place_of(place)
    return f"{where}: {_say(fault, dotted, place)}"


def _say(fault: Any, dotted: str, place: list[str | int]) -> str:
    kind, found = fault["type"], fault.get("input")
    if kind == "extra_forbidden":
        if found is None and looks_like_digits(str(place[-1])):
            section = ".".join(map(str, place[:-1]))
            return f"{section}: a number stands behind a comma; write decimals with a point, such as 1.5"
        return f"{dotted}: unknown field{_hint(str(place[-1]), place[:-1])}"
    if kind == "missing":
        return f"{dotted}: is missing and has no default"
    if kind in ("greater_than", "greater_than_equal", "less_than", "less_than_equal"):
        reason = " (a group of one has no advantage)" if dotted == "rollout.num_generations" else ""
        bound = fault["msg"].removeprefix("Input should be ")
        return f"{dotted}: got {found}, must be {bound}{reason}"
    message = fault["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if kind == "value_error" and not dotted:
        return str(message)
    prefix = "allowed: " if kind == "literal_error" else "needs "
    if kind == "value_error":
        prefix = ""
    hint = nearest(str(found), _literals(fault)) if kind == "literal_error" else ""
    return f"{dotted}: got {_short(found)}; {prefix}{message}{hint or with_point(found)}"


def _literals(fault: Any) -> list[str]:
    return [word.strip(" '") for word in str(fault.get("ctx", {}).get("expected", "")).replace(" or ", ",").split(",")]


def _short(value: Any) -> str:
    text = repr(plain(value))
    return text if len(text) <= 60 else text[:57] + "..."


def _hint(word: str, parents: list[str | int]) -> str:
    if word in SYNONYMS:
        return f"; did you mean {SYNONYMS[word]}?"
    section: Any = Recipe
    for name in parents:
        if isinstance(name, int):  # of a list: what it is a list of
            section = next(iter(get_args(section)), section)
        else:
            section = getattr(section.model_fields.get(name), "annotation", section)
    fields = list(getattr(section, "model_fields", {}))
    return nearest(word, fields) or nearest(word, _dotted_fields()) or f"; allowed: {', '.join(fields)}"


def _sections() -> dict[str, type[BaseModel]]:
    return {
        name: field.annotation
        for name, field in Recipe.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
    }


def _dotted_fields() -> list[str]:
    return [f"{name}.{field}" for name, section in _sections().items() for field in section.model_fields]


def _is_key(document: Any, part: Any) -> bool:
    """Whether any mapping in the document bears this key."""
    if isinstance(document, Mapping):
        return part in document or any(_is_key(item, part) for item in document.values())
    return isinstance(document, list) and any(_is_key(item, part) for item in document)


_FIELD_NAMES = {
    *Recipe.model_fields,
    *(field for section in _sections().values() for field in section.model_fields),
    *RewardSection.model_fields,
    *Electricity.model_fields,
}
