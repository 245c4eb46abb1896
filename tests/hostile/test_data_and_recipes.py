"""Data, fields and recipes that cannot be used, through the command; every kind is tested where it is found out.

That is tests/data/test_bad_files.py, tests/test_recipe.py and tests/rewards.
"""

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.mark.parametrize("field", ["data.source", "eval.benchmarks"])
def test_a_file_that_cannot_be_used(
    place: Path, recipe: Path, refused: Callable[..., str], matches: Callable[[str, str], None], field: str
) -> None:
    (place / "x.csv").write_text('question,answer\n1+1?,2\n"2+1?,3\n3+1?,4\n')
    matches(refused(f"{field}=x.csv"), r"x\.csv:3: not CSV \(unexpected end of data\); is a quote")


BAD_FIELDS: dict[str, tuple[str, str]] = {
    "a decimal comma": (
        "optim.learning_rate=1,0e-6",
        r"optim\.learning_rate: got '1,0e-6'; .*; write it with a point: 1\.0e-6",
    ),
    "a reward whose column is not there": (
        "rewards=accuracy, length_l1_exact",
        r"length_l1_exact.* column target_length",
    ),
    "two functions of one name": (
        "rewards=one.py:score, two.py:score",
        r"rewards: a name stands twice in score, score",
    ),
    "a reward that raises": ("rewards=one.py:broken", r"rewards: broken fails on a made-up completion \(KeyError"),
    "an endless source": ("data.source=" + "x/" * 5000, r"data\.source: unknown source"),
    "a source with NUL": ('data.source="a\\0b"', r"data\.source: unknown source"),
    "a source that is not there": ("data.source=~/nowhere.jsonl", r"data\.source: no file .*/nowhere\.jsonl"),
    "a benchmark that is not there": ("eval.benchmarks=nowhere.jsonl", r"no file nowhere\.jsonl"),
}


@pytest.mark.parametrize("case", BAD_FIELDS)
def test_fields_that_cannot_be_used(
    place: Path, recipe: Path, refused: Callable[..., str], matches: Callable[[str, str], None], case: str
) -> None:
    score = "def score(completions, **c):\n    return [0.0] * len(completions)\n"
    (place / "one.py").write_text(score + "def broken(completions, **c):\n    return {}['x']\n")
    (place / "two.py").write_text(score)
    change, wanted = BAD_FIELDS[case]
    matches(refused(change), wanted)


def test_a_recipe_that_cannot_be_read(
    place: Path, refused: Callable[..., str], matches: Callable[[str, str], None]
) -> None:
    (place / "case.yaml").write_bytes(b"name: caf\xe9\n")
    matches(refused(), r"case\.yaml: cannot be read as text")
