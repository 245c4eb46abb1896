"""What a run is: the YAML schema, its defaults, its error messages. The only place with defaults.

Names are TRL's and PEFT's; the defaults are those of the paper (Tina, arXiv 2504.15777). A fault names file, line and
field, what was found, what is allowed, and the nearest spelling:

    recipes/x.yaml:7: optim.learning_rte: unknown field; did you mean learning_rate?
"""

import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from tina_lite.as_typed import as_list, as_name, as_names, as_rewards, looks_like_digits, with_point
from tina_lite.condition import Condition
from tina_lite.errors import BadInput, nearest
from tina_lite.recipe_file import RecipeFile, plain
from tina_lite.until import seconds_until
from tina_lite.where import Where

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
}


NAME = re.compile(r"[^\W_]([\w .+=-]*[\w+=-])?")
LONGEST_NAME = 200
"""Bytes; a file system allows 255, and a number may follow."""


def _finite(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("a number is needed, not true or false")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a finite number is needed")
    return value


Number = Annotated[float, BeforeValidator(_finite), AfterValidator(_finite)]  # after: the word inf is a float too
Count = Annotated[int, BeforeValidator(_finite)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelSection(Section):
    id: str = "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"
    """Hub id, local folder, or builtin:tiny for the base that ships with the package."""
    quantization: Literal["nf4", "none"] = "nf4"
    engine: Literal["auto", "portable", "unsloth"] = "auto"
    """auto: unsloth on a CUDA card where it is installed and accelerates the architecture, else portable."""
    compute_dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """auto: bfloat16 on a card that has it; on a CPU bfloat16 where it is measured to be clearly faster."""


class LoraSection(Section):
    r: Count = Field(32, ge=1, le=1024)
    alpha: Number = Field(128, gt=0)
    dropout: Number = Field(0.05, ge=0, lt=1)
    target_modules: Annotated[tuple[str, ...], BeforeValidator(as_list), Field(min_length=1)] = (
        "q_proj",
        "k_proj",
        "v_proj",
        "o_proj",
        "gate_proj",
        "up_proj",
        "down_proj",
    )
    """Or all-linear: every linear layer but embedding and head."""


class DataSection(Section):
    source: str
    """Hub id, a .jsonl, .json, .csv or .parquet file, a folder of them, reasoning_gym:TASK (or a mixture such as
    reasoning_gym:chain_sum=2,gcd), module:function, or arithmetic."""
    split: str | None = None
    """Of a hub data set or a built-in task; default: train."""
    config: str | None = None
    prompt: str | None = None
    """Column of the question; found by name where not given."""
    answer: str | None = None
    where: str | None = None
    """Which rows are taken, such as level >= 3 and source != "synthetic"."""
    system_prompt: str | None = None
    """In the place of one that the data holds."""
    chat_template_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Switches of the model's chat template, such as {enable_thinking: false}."""
    limit: Count | None = Field(None, ge=1)
    """The first usable problems."""
    streaming: bool = False
    """Fetch no more of a hub data set than limit needs."""
    held_out: Number = Field(0.05, gt=0, lt=1)
    """Share of the problems kept from training for eval, by a hash of the question."""
    params: dict[str, Any] = Field(default_factory=dict)
    """Parameters of a generated task, or arguments of a function."""
    target_length: tuple[Count, Count] | None = None
    """Shortest and longest: each prompt asks for a length in tokens drawn between them (L1, arXiv 2503.04697)."""

    @field_validator("where")
    @classmethod
    def _can_be_read(cls, where: str | None) -> str | None:
        if where is not None:
            try:
                Where(where)
            except BadInput as error:
                raise ValueError(str(error).removeprefix("data.where: ")) from None
        return where

    @field_validator("target_length")
    @classmethod
    def _in_order(cls, lengths: tuple[int, int] | None) -> tuple[int, int] | None:
        if lengths is not None and not 1 <= lengths[0] <= lengths[1]:
            raise ValueError("needs [shortest, longest] in tokens, such as [100, 4000]")
        return lengths


class RolloutSection(Section):
    engine: Literal["own", "vllm"] = "own"
    """own: tina-lite's sampler; vllm: vLLM on the weights of the unsloth engine, on a CUDA card."""
    prompts_per_step: Count = Field(4, ge=1)
    num_generations: Count = Field(4, ge=2)
    max_prompt_length: Count = Field(512, ge=1)
    max_completion_length: Count = Field(3584, ge=1)
    temperature: Number = Field(0.7, gt=0)
    """Above 0: completions that are all alike teach nothing."""
    top_p: Number = Field(1.0, gt=0, le=1)
    top_k: Count = Field(0, ge=0)
    """0: off."""
    min_p: Number = Field(0.0, ge=0, lt=1)
    """0: off."""
    stop_strings: Annotated[
        tuple[Annotated[str, Field(min_length=1)], ...],
        BeforeValidator(lambda given: [given] if isinstance(given, str) else given),
    ] = ()
    """A completion also ends with the first of these, which it keeps, as with transformers' generate."""
    resample_zero_variance: Count = Field(0, ge=0)
    """How often in a step groups without variance are replaced by fresh problems."""
    kv_tokens: Count | None = Field(None, ge=16)
    """KV cache of the sampler in tokens over all rows; default: from free memory."""


class RewardSection(Section):
    """`{name: cosine, weight: 2, max_length: 3584}`: what is not a field here goes to the function."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str
    weight: Number = 1.0
    on_error: Number | None = 0.0
    """What a completion gets on which the function fails; null: it is left out of the sum."""
    limit_s: Number = Field(30.0, gt=0)
    """Wall clock of one call of a function of your own."""

    @model_validator(mode="before")
    @classmethod
    def _name_alone(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @property
    def params(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class GrpoSection(Section):
    loss_type: Literal["grpo", "bnpo", "dr_grpo", "dapo", "cispo", "gspo"] = "grpo"
    scale_rewards: Literal["group", "batch", "none"] = "group"
    epsilon: Number = Field(0.2, gt=0)
    epsilon_high: Number | None = Field(None, gt=0)
    delta: Number | None = Field(None, gt=1)
    """Upper bound of the unclipped ratio."""
    beta: Number = Field(0.0, ge=0)
    num_iterations: Count = Field(1, ge=1)
    """Optimiser steps on one rollout."""
    tis_cap: Number | None = Field(None, gt=0)
    """Truncated importance sampling between sampler and learner; off where not given, 2 with rollout.engine: vllm."""
    mask_truncated_completions: bool = False


class OptimSection(Section):
    learning_rate: Number = Field(1.0e-6, ge=0)
    lr_scheduler_type: Literal["cosine", "linear", "constant"] = "cosine"
    warmup_ratio: Number = Field(0.1, ge=0, le=1)
    lr_horizon: Literal["steps", "budget"] = "steps"
    """Over what warm-up and decay run: stop.max_steps, or the share of the nearest limit that is used up."""
    min_lr_ratio: Number = Field(0.1, ge=0, le=1)
    max_grad_norm: Number = Field(1.0, gt=0)
    adam_beta1: Number = Field(0.9, ge=0, lt=1)
    adam_beta2: Number = Field(0.999, ge=0, lt=1)
    weight_decay: Number = Field(0.0, ge=0)
    micro_batch_tokens: Count = Field(4096, ge=64)
    """Tokens in one forward and backward pass; changes memory, not the gradient."""


class Electricity(Section):
    watts: Literal["auto"] | Annotated[Number, Field(gt=0)]
    """auto: as an NVIDIA card measures it."""
    usd_per_kwh: Number = Field(ge=0)


def _one_fault(value: Any, check: ValidatorFunctionWrapHandler) -> Any:
    """One message for the union instead of one for each of its branches."""
    try:
        return check(value)
    except ValidationError:
        raise ValueError(
            "needs auto, a number of US dollars per hour, or {watts: W or auto, usd_per_kwh: P}; none below 0"
        ) from None


class BudgetSection(Section):
    max_usd: Number | None = Field(None, gt=0)
    rate: Annotated[Literal["auto"] | Annotated[Number, Field(ge=0)] | Electricity, WrapValidator(_one_fault)] = "auto"
    """auto, US dollars per hour, or {watts, usd_per_kwh}."""
    billing: Literal["second", "minute", "hour"] = "second"
    """A started minute or hour of a session is paid whole; by the second, and electricity, is what was used."""


class StopSection(Section):
    max_steps: Count | None = Field(None, ge=1)
    max_hours: Number | None = Field(None, gt=0)
    max_tokens: Count | None = Field(None, ge=1)
    """Of prompts and completions, as the metric num_tokens counts them."""
    until: str | None = None
    """A time of day, 07:30, or a duration from the start of the process, 90m."""
    when: str | None = None
    """A metric and a bound, reward>=0.9: the run ends once it has held for `patience` steps in a row."""
    patience: Count = Field(3, ge=1)
    on_collapse: bool = False
    """End the run where the policy has collapsed, rather than warn alone."""

    @field_validator("until")
    @classmethod
    def _a_moment(cls, value: str | None) -> str | None:
        if value is not None:
            seconds_until(value, datetime.now())
        return value

    @field_validator("when")
    @classmethod
    def _a_condition(cls, value: str | None) -> str | None:
        if value is not None:
            Condition.parse(value)
        return value


class EvalSection(Section):
    benchmarks: Annotated[tuple[str, ...], BeforeValidator(as_names)] = ()
    """held_out, or a file.jsonl; measured before and after training."""
    every: Count | None = Field(None, ge=1)
    """Also every so many steps."""
    problems: Count = Field(200, ge=1)
    samples: Count = Field(4, ge=1)
    temperature: Number | None = Field(None, ge=0)
    """Default: the rollout's."""


class CheckpointSection(Section):
    every_steps: Count = Field(50, ge=1)
    every_minutes: Number | None = Field(10, gt=0)
    """Also once so many minutes have passed since the last."""
    keep: Count = Field(2, ge=1)
    """The newest so many, beside the best by held-out Pass@1 where eval.every measures it."""


class Recipe(Section):
    """One run, whole. `Recipe.load` reads it from YAML."""

    name: Annotated[str, BeforeValidator(as_name)] = "run"
    """Names the run's folder."""
    seed: Count = Field(42, ge=0, lt=2**63)
    model: ModelSection = Field(default_factory=ModelSection)
    lora: LoraSection = Field(default_factory=LoraSection)
    data: DataSection
    rollout: RolloutSection = Field(default_factory=RolloutSection)
    rewards: Annotated[tuple[RewardSection, ...], BeforeValidator(as_rewards)] = (
        RewardSection(name="accuracy", weight=2),
        RewardSection(name="format", weight=1),
    )
    grpo: GrpoSection = Field(default_factory=GrpoSection)
    optim: OptimSection = Field(default_factory=OptimSection)
    budget: BudgetSection = Field(default_factory=BudgetSection)
    stop: StopSection = Field(default_factory=StopSection)
    eval: EvalSection = Field(default_factory=EvalSection)
    checkpoint: CheckpointSection = Field(default_factory=CheckpointSection)
    track: Annotated[tuple[Literal["tensorboard", "wandb", "trackio"], ...], BeforeValidator(as_list)] = ()
    """Who else gets the metrics; each needs its package (the extra `track` has all)."""

    _folders: tuple[Path, ...] = PrivateAttr(default_factory=lambda: (Path.cwd(),))

    @field_validator("name")
    @classmethod
    def _names_a_folder(cls, name: str) -> str:
        if not NAME.fullmatch(name) or len(name.encode()) > LONGEST_NAME:
            raise ValueError(
                f"it names a folder: begin with a letter or digit, go on with those, spaces and . _ - + =, "
                f"at most {LONGEST_NAME} bytes"
            )
        return name

    @field_validator("rewards")
    @classmethod
    def _names_are_unique(cls, rewards: tuple[RewardSection, ...]) -> tuple[RewardSection, ...]:
        names = [reward.name for reward in rewards]
        if not names:
            raise ValueError("needs one reward or more")
        if len(set(names)) < len(names):
            raise ValueError("a reward is named twice; merge the two weights")
        return rewards

    @model_validator(mode="after")
    def _vllm_draws_plainly(self) -> "Recipe":
        rollout = self.rollout
        if rollout.engine == "vllm" and (rollout.top_p < 1 or rollout.top_k or rollout.min_p):
            raise ValueError(
                "rollout.engine: vllm gives log-probs after truncation, which the learner cannot match; "
                "set top_p=1, top_k=0 and min_p=0, or engine=own"
            )
        return self

    @property
    def tis_cap(self) -> float | None:
        """grpo.tis_cap; 2 where vLLM samples and none is given, as its log-probs differ by more than rounding."""
        return 2.0 if self.grpo.tis_cap is None and self.rollout.engine == "vllm" else self.grpo.tis_cap

    @property
    def folder(self) -> Path:
        """Where the recipe's file stands; relative paths in it may start there."""
        return self._folders[0]

    @classmethod
    def load(cls, path: str | Path, overrides: Mapping[str, Any] | None = None) -> "Recipe":
        """Read a recipe; `overrides` maps dotted fields to values. Raises BadInput with file, line and field."""
        file = RecipeFile.read(Path(path))
        fields = file.fields
        for field, value in (overrides or {}).items():
            _override(fields, field, value)
        try:
            recipe = cls.model_validate(fields)
        except ValidationError as error:
            faults = [_explain(fault, file, fields, overrides or {}) for fault in error.errors()]
            raise BadInput("\n".join(dict.fromkeys(faults))) from None
        recipe._folders = file.folders
        return recipe

    def with_local_paths(self) -> "Recipe":
        """The same run from any folder: names of files that exist are made absolute."""
        source = self.data.source
        known = source == "arithmetic"
        absolute = source if known else self._absolute_function(source) or self._absolute(source, os.path.exists)
        data = self.data.model_copy(update={"source": absolute})
        model = self.model.model_copy(update={"id": self._absolute(self.model.id, _holds_a_model)})
        rewards = tuple(
            reward.model_copy(update={"name": self._absolute_function(reward.name) or reward.name})
            for reward in self.rewards
        )
        benchmarks = tuple(self._absolute(name) for name in self.eval.benchmarks)
        evaluation = self.eval.model_copy(update={"benchmarks": benchmarks})
        return self.model_copy(update={"data": data, "model": model, "rewards": rewards, "eval": evaluation})

    def _absolute(self, name: str, is_meant: Callable[[Path], bool] = lambda path: False) -> str:
        """A path beside the caller, the recipe or what it extends; any other name as it stands.

        A bare word is taken for a path only where what is there `is_meant`.
        """
        if name.startswith("~"):
            return os.path.expanduser(name)
        for start in (Path.cwd(), *self._folders):
            path = start / name
            if name and os.path.exists(path) and ("/" in name or "." in name or is_meant(path)):
                return _named_as_given(path)
        return name

    def _absolute_function(self, name: str) -> str:
        """Of file.py:function; empty for anything else."""
        path, colon, function = name.rpartition(":")
        return f"{self._absolute(path)}:{function}" if colon and path.endswith(".py") else ""

    def to_yaml(self) -> str:
        """The resolved recipe, every field written out."""
        yaml, out = YAML(), StringIO()
        yaml.default_flow_style = False
        yaml.width = 120
        yaml.dump(self.model_dump(mode="json"), out)
        return out.getvalue()


def _holds_a_model(path: Path) -> bool:
    return (path / "config.json").is_file() or (path / "adapter_config.json").is_file()


def _named_as_given(path: Path) -> str:
    """Absolute, and a link by its own name: that of what it leads to may say nothing, as in the cache of the hub."""
    return str(path.resolve() if path.name in ("", "..") else path.parent.resolve() / path.name)


def parse_override(text: str) -> tuple[str, Any]:
    """One --set option: a dotted field and a YAML value.

    >>> parse_override("optim.learning_rate=5e-6")
    ('optim.learning_rate', 5e-06)
    """
    field, equals, value = text.partition("=")
    if not equals or not field:
        raise BadInput(f"--set {text}: write it as field=value, such as optim.learning_rate=5e-6")
    try:
        return field.strip(), plain(YAML(typ="safe").load(value)) if value.strip() else None
    except YAMLError:
        raise BadInput(f"--set {field}: cannot read {value!r} as a YAML value; quote it") from None


def _override(document: Any, field: str, value: Any) -> None:
    """Set a dotted field in place; sections that are missing are made, list items are addressed by number."""
    *parents, last = field.split(".")
    if parents and parents[0] == "rewards":
        document.setdefault("rewards", [reward.model_dump() for reward in Recipe.model_fields["rewards"].default])
    node = document
    for name in parents:
        if isinstance(node, list) and name.isdigit() and int(name) < len(node):
            node = node[int(name)]
        elif isinstance(node, dict):
            if not isinstance(node.get(name), (dict, list)):
                node[name] = {}
            node = node[name]
        else:
            raise BadInput(f"--set {field}: there is no {name} to set a field of")
    if isinstance(node, list):
        if not last.isdigit() or int(last) >= len(node):
            raise BadInput(f"--set {field}: {last} is not an item of this list of {len(node)}")
        node[int(last)] = value
    else:
        node[last] = value


def _explain(fault: Any, file: RecipeFile, fields: Any, overrides: Iterable[str]) -> str:
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
        field = section.model_fields.get(name) if isinstance(name, str) else None
        section = getattr(field, "annotation", section)
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
