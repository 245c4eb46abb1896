"""What `make lint` asks of the package beside ruff and mypy: names that stand once, the field's words, files of a size.

python tests/house.py: prints what is amiss, a line each, and exits with 1 where something is.
"""

import ast
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "tina_lite"
LONGEST = 400
OUR_WORDS = set(
    "lesson undropped masters keeper examiner watcher rescue uniforms foretold outlook sameness elsewhere replays "
    "packing agreement heap resident portable asking demand pace".split()
)
"""Words of our own, where the field has others: CONTRIBUTING says which."""


def names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """All that a file defines: classes, functions, their arguments, variables, attributes; with their lines."""
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef() | ast.FunctionDef():
                yield node.lineno, node.name
            case ast.arg():
                yield node.lineno, node.arg
            case ast.Name(ctx=ast.Store()):
                yield node.lineno, node.id
            case ast.Attribute(ctx=ast.Store()):
                yield node.lineno, node.attr


def faults() -> Iterator[str]:
    classes: Counter[str] = Counter()
    for path in sorted(PACKAGE.rglob("*.py")):
        text, file = path.read_text(), path.relative_to(PACKAGE.parent)
        tree = ast.parse(text)
        classes.update(node.name for node in tree.body if isinstance(node, ast.ClassDef))
        if (lines := text.count("\n")) > LONGEST:
            yield f"{file}: has {lines} lines; {LONGEST} are the most"
        for line, name in [(1, path.stem), *names(tree)]:
            parts = re.findall("[A-Z]?[a-z]+", name)
            for word in OUR_WORDS & {form for part in parts for form in (part.lower(), part.lower().removesuffix("s"))}:
                yield f"{file}:{line}: {name}: {word!r} is a word of our own; take the field's"
    yield from (f"class {name}: stands in {count} files" for name, count in classes.items() if count > 1)


if __name__ == "__main__":
    found = list(faults())
    print("\n".join(found), end="\n" if found else "")
    sys.exit(bool(found))
