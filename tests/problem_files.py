"""Files of problems, and what was read from them."""

import json
from pathlib import Path

from tina_lite.data import ProblemSet


def write(path: Path, *rows: object) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path.name


def pairs(problems: ProblemSet) -> list[tuple[str, str]]:
    return [(problem.question, problem.answer) for problem in problems]
