"""A recipe from its file: YAML, what it extends, changes from the command line, the files that it names; its faults."""

import os
from collections.abc import Callable, Iterable, Mapping
from io import StringIO
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from tina_lite.recipe.file import RecipeFile, plain
from tina_lite.recipe.schema import Electricity, Recipe, RewardSection
from tina_lite.util.as_typed import looks_like_digits, with_point
from tina_lite.util.errors import BadInput, nearest

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
    """Explain one fault of pydantic's in one line."""
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


Rename = Callable[[str], str]
A_FILE = "a file"


def renamed(recipe: Recipe, *, model: Rename, data: Rename, reward: Rename, benchmark: Rename) -> Recipe:
    """The same recipe with other words in the four places that may name a file, a folder or something on the hub."""
    parts = tuple(part.model_copy(update={"source": data(part.source)}) for part in recipe.data.mixture)
    sections = {
        "model": recipe.model.model_copy(update={"id": model(recipe.model.id)}),
        "data": recipe.data.model_copy(update={"source": data(recipe.data.source), "mixture": parts}),
        "rewards": tuple(one.model_copy(update={"name": reward(one.name)}) for one in recipe.rewards),
        "callbacks": tuple(map(reward, recipe.callbacks)),
        "eval": recipe.eval.model_copy(update={"benchmarks": tuple(map(benchmark, recipe.eval.benchmarks))}),
    }
    return recipe.model_copy(update=sections)


def with_local_paths(recipe: Recipe) -> Recipe:
    """Give the same run from any folder: names of files that exist are made absolute.

    They are looked for from the working directory, then where the recipe and what it extends stand.
    """
    places = Places((Path.cwd(), *recipe._folders))
    return renamed(
        recipe,
        model=lambda name: places.absolute(name, _holds_a_model),
        data=places.data,
        reward=lambda name: places.function(name) or name,
        benchmark=places.benchmark,
    )


def without_places(recipe: Recipe) -> Recipe:
    """A local recipe to be compared: what is in its files counts, and neither their places nor their names."""
    return at_other_places(recipe, lambda path: A_FILE)


def at_other_places(recipe: Recipe, other: Rename) -> Recipe:
    """A local recipe with `other` in the place of each absolute path, whatever stands around it: NAME=FILE, FILE:F."""

    def one(name: str) -> str:
        start = name.find("=/") + 1 if not name.startswith("/") else 0
        end = name.rfind(".py:") + 3 if ".py:" in name else len(name)
        return f"{name[:start]}{other(name[start:end])}{name[end:]}" if name.startswith("/", start) else name

    return renamed(recipe, model=one, data=one, reward=one, benchmark=one)


class Places:
    """Folders in which a name may be found, in order."""

    def __init__(self, folders: tuple[Path, ...]) -> None:
        self._folders = folders

    def absolute(self, name: str, is_meant: Callable[[Path], bool] = lambda path: False) -> str:
        """A path that is there; any other name as it stands.

        A bare word is taken for a path only where what is there `is_meant`.
        """
        if name.startswith("~"):
            return os.path.expanduser(name)
        for folder in self._folders:
            path = folder / name
            if name and os.path.exists(path) and ("/" in name or "." in name or is_meant(path)):
                return _named_as_given(path)
        return name

    def data(self, source: str) -> str:
        """Of a file, a folder, or a function in a file; any other as it stands."""
        return source if source == "arithmetic" else self.function(source) or self.absolute(source, os.path.exists)

    def benchmark(self, name: str) -> str:
        """Of a file, or of NAME=FILE; any other as it stands."""
        known, equals, path = name.partition("=")
        found = self.absolute(name)
        return f"{known}={self.absolute(path)}" if equals and found == name else found

    def function(self, name: str) -> str:
        """Give the function of file.py:function; empty for anything else."""
        path, colon, function = name.rpartition(":")
        return f"{self.absolute(path)}:{function}" if colon and path.endswith(".py") else ""


def _holds_a_model(path: Path) -> bool:
    return (path / "config.json").is_file() or (path / "adapter_config.json").is_file()


def _named_as_given(path: Path) -> str:
    """Absolute, and a link by its own name: that of what it leads to may say nothing, as in the cache of the hub."""
    return str(path.resolve() if path.name in ("", "..") else path.parent.resolve() / path.name)


def load_recipe(path: str | Path, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """Read a recipe; `overrides` maps dotted fields to values. Raises BadInput with file, line and field."""
    file = RecipeFile.read(Path(path))
    fields, overrides = file.fields, overrides or {}
    for field, value in overrides.items():
        _override(fields, field, value)
    try:
        recipe = Recipe.model_validate(fields)
    except ValidationError as error:
        faults = [explain(fault, file, fields, overrides) for fault in error.errors()]
        raise BadInput("\n".join(dict.fromkeys(faults))) from None
    recipe._folders = file.folders
    return recipe


def to_yaml(recipe: Recipe) -> str:
    """Write the resolved recipe, every field of it."""
    yaml, out = YAML(), StringIO()
    yaml.default_flow_style = False
    yaml.width = 120
    yaml.dump(recipe.model_dump(mode="json"), out)
    return out.getvalue()


def parse_override(text: str) -> tuple[str, Any]:
    """Read one --set option: a dotted field and a YAML value.

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
