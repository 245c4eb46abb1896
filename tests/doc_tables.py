"""Tables of the docs that are made from the code: `make doc-tables` writes them, test_docs.py compares.

Usage:
    python tests/doc_tables.py
"""

import ast
import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tina_lite.policy.shape import TABLE
from tina_lite.recipe import load_recipe, schema
from tina_lite.recipe.file import headline, shipped_recipes
from tina_lite.recipe.schema import Recipe

DOCS = Path(__file__).parents[1] / "docs"
SHORT = {"deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B": "R1-Distill-Qwen-1.5B", "builtin:tiny": "the shipped tiny base"}


def recipes() -> Iterator[str]:
    yield "| recipe | model | data | at most | what |"
    yield "| --- | --- | --- | --- | --- |"
    for name, path in sorted(shipped_recipes().items(), key=lambda item: _order(item[0])):
        recipe = load_recipe(path)
        model = SHORT.get(recipe.model.id, recipe.model.id.rpartition("/")[2])
        cells = (f"`{name}`", model, recipe.data.named, f"${recipe.budget.max_usd:.2f}", headline(path))
        yield f"| {' | '.join(cells)} |"


def _order(name: str) -> tuple[int, int, str]:
    """Quickstart first, the paper's last; cards by their memory."""
    folder, _, own = name.rpartition("/")
    digits = "".join(letter for letter in own if letter.isdigit()) if folder == "cards" else ""
    return ["", "cheap", "small", "cards", "paper"].index(folder), int(digits or 0), "" if name == "quickstart" else own


def fields() -> Iterator[str]:
    """A table for the recipe itself and for each of its sections."""
    told = _told_of_fields()
    sections = {name: field.annotation for name, field in Recipe.model_fields.items()}
    yield from _table(
        "The recipe itself", Recipe, told, [name for name, one in sections.items() if not _is_section(one)]
    )
    for name, section in sections.items():
        if _is_section(section):
            yield from _table(f"`{name}`", section, told)
    yield from _table("Each part of `data.mixture`", schema.PartSection, told)
    yield from _table("Each of `rewards`", schema.RewardSection, told)


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, schema.Section)


def _table(
    heading: str, section: Any, told: dict[str, dict[str, str]], names: list[str] | None = None
) -> Iterator[str]:
    yield f"\n## {heading}\n"
    yield "| field | what it takes | default | meaning |"
    yield "| --- | --- | --- | --- |"
    whole = section.model_json_schema()
    for name in names or section.model_fields:
        field = section.model_fields[name]
        bounds = [
            f"{words} {getattr(m, at):g}" for m in field.metadata for at, words in BOUNDS.items() if hasattr(m, at)
        ]
        kind = ", ".join([_kind(whole["properties"][name], whole), *(one for one in bounds if "e+" not in one)])
        default = "needed" if field.is_required() else f"`{_default(field.get_default(call_default_factory=True))}`"
        meaning = told[section.__name__].get(name, "").replace("|", "\\|")
        yield f"| `{name}` | {kind} | {default} | {meaning} |"


BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}


def _default(value: Any) -> str:
    if isinstance(value, tuple) and value and hasattr(value[0], "weight"):
        return ", ".join(f"{one.weight:g} x {one.name}" for one in value)
    return json.dumps(value)


def _kind(prop: dict[str, Any], whole: dict[str, Any]) -> str:
    """What a field takes, in words."""
    if "anyOf" in prop:
        kinds = dict.fromkeys(_kind(one, whole) for one in prop["anyOf"])
        return " or ".join(kind for kind in kinds if kind != "null") + (" or null" if "null" in kinds else "")
    if "$ref" in prop:
        found = whole["$defs"][prop["$ref"].rpartition("/")[2]]
        return _kind(found, whole) if "properties" not in found else "a mapping"
    if "enum" in prop or "const" in prop:
        return ", ".join(f"`{one}`" for one in prop.get("enum", [prop.get("const")]))
    names = {"integer": "a whole number", "number": "a number", "string": "text", "boolean": "true or false"}
    names |= {"array": "a list", "object": "a mapping", "null": "null"}
    return names.get(prop.get("type", ""), "text or a list")


def _told_of_fields() -> dict[str, dict[str, str]]:
    """By section, the text below each field."""
    found: dict[str, dict[str, str]] = {}
    for node in ast.parse(Path(schema.__file__).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            own = found.setdefault(node.name, {})
            for base in node.bases:
                own |= found.get(getattr(base, "id", ""), {})
            for one, behind in zip(node.body, node.body[1:], strict=False):
                if isinstance(one, ast.AnnAssign) and isinstance(behind, ast.Expr):
                    assert isinstance(one.target, ast.Name)
                    own[one.target.id] = " ".join(str(ast.literal_eval(behind.value)).split())
    return found


def architectures() -> Iterator[str]:
    yield "| architecture | engine | log-probs differ by | gradients differ by | greedy texts equal | refused because |"
    yield "| --- | --- | --- | --- | --- | --- |"
    with TABLE.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield f"| {' | '.join(value.replace('|', '/') for value in row.values())} |"


TABLES: dict[str, tuple[str, Callable[[], Iterator[str]]]] = {
    "recipes.md": ("recipes", recipes),
    "fields.md": ("fields", fields),
    "models.md": ("architectures", architectures),
}


def with_table(page: str, text: str) -> str:
    """A page with its table in its place."""
    name, lines = TABLES[page]
    begin, end = f"<!-- {name}: make doc-tables -->\n", f"<!-- {name} end -->\n"
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{chr(10).join(lines()).strip()}\n\n{end}{after}"


if __name__ == "__main__":
    for page in TABLES:
        place = DOCS / page
        place.write_text(with_table(page, place.read_text(encoding="utf-8")), encoding="utf-8")
