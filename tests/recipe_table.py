"""README's table of the recipes that ship, made from them: `make recipe-table` writes it, test_readme.py compares.

Usage:
    python tests/recipe_table.py
"""

from pathlib import Path

from tina_lite.recipe import load_recipe
from tina_lite.recipe.file import headline, shipped_recipes

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- recipes: make recipe-table -->\n", "<!-- recipes end -->\n"
SHORT = {"deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B": "R1-Distill-Qwen-1.5B", "builtin:tiny": "the shipped tiny base"}


def table() -> str:
    lines = ["| recipe | model | data | at most | what |", "| --- | --- | --- | --- | --- |"]
    for name, path in sorted(shipped_recipes().items(), key=lambda item: _order(item[0])):
        recipe = load_recipe(path)
        model = SHORT.get(recipe.model.id, recipe.model.id.rpartition("/")[2])
        cells = (f"`{name}`", model, recipe.data.named, f"${recipe.budget.max_usd:.2f}", headline(path))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _order(name: str) -> tuple[int, int, str]:
    """Quickstart first, the paper's last; cards by their memory."""
    folder, _, own = name.rpartition("/")
    digits = "".join(letter for letter in own if letter.isdigit()) if folder == "cards" else ""
    return ["", "small", "cards", "paper"].index(folder), int(digits or 0), "" if name == "quickstart" else own


def with_table(text: str) -> str:
    """README with the table in its place."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    return f"{before}{begin}{table()}{end}{after}"


if __name__ == "__main__":
    README.write_text(with_table(README.read_text()))
