"""From YAML and overrides to a recipe, and back."""

from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from tina_lite.errors import BadInput
from tina_lite.recipe.faults import explain
from tina_lite.recipe.file import RecipeFile, plain
from tina_lite.recipe.schema import Recipe


def load(path: Path, overrides: Mapping[str, Any]) -> Recipe:
    """See `Recipe.load`."""
    file = RecipeFile.read(path)
    fields = file.fields
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
    """The resolved recipe, every field written out."""
    yaml, out = YAML(), StringIO()
    yaml.default_flow_style = False
    yaml.width = 120
    yaml.dump(recipe.model_dump(mode="json"), out)
    return out.getvalue()


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
