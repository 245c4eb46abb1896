"""Data files, recipes and places that cannot be used: one line that names the file or field and what to do."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

QUESTION = {"question": "What is 2+3?"}
BAD_DATA: dict[str, tuple[str, bytes, str]] = {
    "empty": ("x.jsonl", b"", r"x\.jsonl: no problem in it"),
    "blank lines": ("x.jsonl", b"\n\n  \n", r"x\.jsonl: no problem in it"),
    "a pointer of LFS": (
        "x.jsonl",
        b"version https://git-lfs.github.com/spec/v1\nsize 9\n",
        r"x\.jsonl: is .* git lfs pull",
    ),
    "compressed": (
        "x.jsonl.gz",
        b"\x1f\x8b\x08\x00abc",
        r"x\.jsonl\.gz: cannot be unpacked .*; copy or",
    ),
    "an archive": ("x.zip", b"PK\x03\x04abc", r"x\.zip: is a zip archive; unpack it"),
    "words": ("x.txt", b"What is 2+3?", r"x\.txt is no \.jsonl, "),
    "html": ("x.json", b"<html>", r"x\.json:1: not JSON"),
    "a number": ("x.json", b"5", r"x\.json: a \.json file holds one list of objects, this is"),
    "an object": ("x.json", b'{"rows": []}', r"x\.json: a \.json file holds one list of objects"),
    "a list of words": ("x.json", b'["a"]', r"x\.json, row 0"),
    "a cut line": (
        "x.jsonl",
        b'{"question": "a?", "answer": "1"}\n{"question": "b',
        r"x\.jsonl:2: not JSON .*at column 14\); mend",
    ),
    "latin-1": (
        "x.jsonl",
        b'{"question": "\xe9?", "answer": "1"}\n',
        r"x\.jsonl:1: not UTF-8 .*; save the file as UTF-8",
    ),
    "UTF-16": ("x.jsonl", '{"question": "a?", "answer": "1"}\n'.encode("utf-16"), r"x\.jsonl:1: not "),
    "deep": ("x.jsonl", b"[" * 100_000, r"x\.jsonl:1: not JSON"),
    "a huge number": (
        "x.jsonl",
        b'{"question": "a?", "answer": ' + b"9" * 5000 + b"}",
        r"x\.jsonl:1: not JSON .*digits",
    ),
    "no answer": (
        "x.jsonl",
        json.dumps(QUESTION).encode(),
        r"x\.jsonl: no column answer, .*; name it with data\.answer",
    ),
    "no question": ("x.jsonl", b'{"text": "a", "answer": "1"}', r"no column prompt, .*; name it with data\.prompt"),
    "answers that are NaN": (
        "x.jsonl",
        b'{"question": "a?", "answer": NaN}',
        r"all rows were skipped \(answer is not finite",
    ),
    "answers that are objects": (
        "x.jsonl",
        b'{"question": "a?", "answer": {"value": 5}}',
        r"answer is an object \(name one of its fields with data\.answer: value\)",
    ),
    "questions that are pictures": (
        "x.jsonl",
        b'{"prompt": [{"role": "user", "content": [{"type": "image"}]}], "answer": "5"}',
        r"question holds image, which is no text",
    ),
    "a header alone": ("x.csv", b"question,answer\n", r"x\.csv: no problem in it"),
    "too many cells": ("x.csv", b"question,answer\na,b,c\n", r"x\.csv:2: 3 cells under a header of 2; quote"),
    "a quote that is left open": (
        "x.csv",
        b'question,answer\n1+1?,2\n"2+1?,3\n3+1?,4\n',
        r"x\.csv:3: not CSV \(unexpected end of data\); is a quote",
    ),
    "a quote in a quote": ("x.csv", b'question,answer\n"say "a" now",2\n', r"x\.csv:2: not CSV .* is a quote"),
    "two columns of a name": (
        "x.csv",
        b"question,answer,answer\na?,1,2\n",
        r"x\.csv:1: two columns are named 'answer'",
    ),
    "no table": ("x.parquet", b"nothing", r"x\.parquet: not a \.parquet file .*; copy or download"),
}


@pytest.mark.parametrize("case", BAD_DATA)
def test_data_that_cannot_be_read(
    place: Path, recipe: Path, refused: Callable[..., str], matches: Callable[[str, str], None], case: str
) -> None:
    name, content, wanted = BAD_DATA[case]
    (place / name).write_bytes(content)
    matches(refused(f"data.source={name}"), wanted)


def test_half_a_table(
    place: Path, recipe: Path, refused: Callable[..., str], matches: Callable[[str, str], None]
) -> None:
    import datasets

    datasets.Dataset.from_list([{"question": f"{n}?", "answer": str(n)} for n in range(99)]).to_parquet(
        place / "x.parquet"
    )
    whole = (place / "x.parquet").read_bytes()
    (place / "x.parquet").write_bytes(whole[: len(whole) // 2])
    matches(refused("data.source=x.parquet"), r"x\.parquet: not a \.parquet file .*; copy or download it again")


def test_links_that_lead_nowhere(
    place: Path, recipe: Path, refused: Callable[..., str], matches: Callable[[str, str], None]
) -> None:
    (place / "gone.jsonl").symlink_to("nowhere.jsonl")
    matches(refused("data.source=gone.jsonl"), r"gone\.jsonl is a link to nowhere\.jsonl, which is no file")
    (place / "folder").mkdir()
    (place / "folder" / "me.jsonl").symlink_to("me.jsonl")
    matches(refused("data.source=folder"), r"folder/me\.jsonl: cannot be read \(Too many levels of symbolic links\)$")


@pytest.mark.parametrize("case", BAD_DATA)
def test_the_same_as_a_benchmark(
    place: Path, recipe: Path, refused: Callable[..., str], matches: Callable[[str, str], None], case: str
) -> None:
    name, content, wanted = BAD_DATA[case]
    (place / name).write_bytes(content)
    matches(refused(f"eval.benchmarks={name}"), wanted)


BAD_FIELDS: dict[str, tuple[str, str]] = {
    "a decimal comma": (
        "optim.learning_rate=1,0e-6",
        r"optim\.learning_rate: got '1,0e-6'; .*; write it with a point: 1\.0e-6",
    ),
    "a decimal comma in a mapping": (
        "optim={learning_rate: 1,0e-6}",
        r"optim: a number stands behind a comma; write decimals with a point",
    ),
    "dollars with a comma": (
        "budget={max_usd: 5,00}",
        r"budget: a number stands behind a comma; write decimals with a point",
    ),
    "a slash in the name": ("name=a/b", r"name: got 'a/b'; it names a folder"),
    "a name of dots": ("name=..", r"name: got '\.\.'; it names a folder"),
    "an endless name": ("name=" + "x" * 300, r"name: .* at most 200 bytes"),
    "weights by name": (
        "rewards={accuracy: 2, format: 1}",
        r"rewards: .*write it as a list: \[\{name: accuracy, weight: 2\}",
    ),
    "an unknown reward": ("rewards=acuracy", r"unknown reward 'acuracy'; did you mean accuracy"),
    "a reward twice": ("rewards=accuracy, accuracy", r"a reward is named twice"),
    "a reward whose column is not there": (
        "rewards=accuracy, length_l1_exact",
        r"length_l1_exact.* column target_length",
    ),
    "two functions of one name": (
        "rewards=one.py:score, two.py:score",
        r"rewards: a name stands twice in score, score",
    ),
    "a reward that raises": ("rewards=one.py:broken", r"rewards: broken fails on a made-up completion \(KeyError"),
    "a reward that does not load": ("rewards=syntax.py:score", r"rewards: .*syntax\.py does not load: SyntaxError"),
    "a reward that is no file": ("rewards=nowhere.py:score", r"rewards: no file nowhere\.py in "),
    "a reward that is no function": ("rewards=one.py:scor", r"scor is not there; did you mean score"),
    "a seed that is negative": ("seed=-1", r"seed: got -1, must be greater than or equal to 0"),
    "a seed of a hundred digits": ("seed=" + "9" * 100, r"seed: got 9+, must be less than"),
    "an endless source": ("data.source=" + "x/" * 5000, r"data\.source: unknown source"),
    "a source with NUL": ('data.source="a\\0b"', r"data\.source: unknown source"),
    "a source that is not there": ("data.source=~/nowhere.jsonl", r"data\.source: no file .*/nowhere\.jsonl"),
    "a benchmark that is not there": ("eval.benchmarks=nowhere.jsonl", r"no file nowhere\.jsonl"),
    "an unknown section": ("optimizer={lr: 1}", r"optimizer: unknown field; did you mean optim"),
    "a list for a number": ("optim.learning_rate=[1, 2]", r"optim\.learning_rate: got \[1, 2\]; needs a valid number"),
    "a word for a number": ("stop.max_steps=many", r"stop\.max_steps: got 'many'; needs a valid integer"),
}


@pytest.mark.parametrize("case", BAD_FIELDS)
def test_fields_that_cannot_be_used(
    place: Path, recipe: Path, refused: Callable[..., str], matches: Callable[[str, str], None], case: str
) -> None:
    (place / "one.py").write_text(
        "def score(completions, **c):\n    return [0.0] * len(completions)\n"
        "def broken(completions, **c):\n    return {}['x']\n"
    )
    (place / "two.py").write_text("def score(completions, **c):\n    return [0.0] * len(completions)\n")
    (place / "syntax.py").write_text("def score(:\n")
    change, wanted = BAD_FIELDS[case]
    matches(refused(change), wanted)


BAD_RECIPES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", r"case\.yaml: a recipe is a YAML mapping"),
    "a list": (b"- a\n", r"case\.yaml: a recipe is a YAML mapping"),
    "no YAML": (b"data: {source: a\n", r"case\.yaml:\d+:\d+: broken YAML"),
    "a tab": (b"data:\n\tsource: a\n", r"case\.yaml:2:\d+: broken YAML"),
    "latin-1": (b"name: caf\xe9\n", r"case\.yaml: cannot be read as text"),
    "a key twice": (b"name: a\nname: b\n", r"case\.yaml:\d+:\d+: broken YAML"),
    "extends itself": (b"extends: case.yaml\n", r"case\.yaml:1: extends: goes in a circle"),
    "extends nothing": (
        b"extends: quikstart\n",
        r"case\.yaml:1: extends: no recipe 'quikstart'.*did you mean quickstart",
    ),
    "nothing of its own": (b"name: x\n", r"case\.yaml:1: data: is missing"),
}


@pytest.mark.parametrize("case", BAD_RECIPES)
def test_recipes_that_cannot_be_read(
    place: Path, refused: Callable[..., str], matches: Callable[[str, str], None], case: str
) -> None:
    content, wanted = BAD_RECIPES[case]
    (place / "case.yaml").write_bytes(content)
    matches(refused(), wanted)
