"""Data files that cannot be used: one line that names the file, the row or line, and what to do."""

from pathlib import Path

import pytest
from sections import load

from tina_lite.util.errors import BadInput

GOOD = b'{"question": "a?", "answer": "1"}\n'
HEADER = b"question,answer\n"

BAD_FILES: dict[str, tuple[str, bytes, str]] = {
    "empty": ("x.jsonl", b"", r"x\.jsonl: no problem in it"),
    "blank lines": ("x.jsonl", b"\n\n  \n", r"x\.jsonl: no problem in it"),
    "a pointer of LFS": (
        "x.jsonl",
        b"version https://git-lfs.github.com/spec/v1\nsize 9\n",
        r"x\.jsonl: is .* git lfs pull",
    ),
    "compressed": ("x.jsonl.gz", b"\x1f\x8b\x08\x00abc", r"x\.jsonl\.gz: cannot be unpacked .*; copy or"),
    "an archive": ("x.zip", b"PK\x03\x04abc", r"x\.zip: is a zip archive; unpack it"),
    "words": ("x.txt", b"What is 2+3?", r"data\.source: x\.txt is no \.jsonl, \.ndjson, \.json, \.csv, \.tsv, "),
    "html": ("x.json", b"<html>", r"x\.json:1: not JSON"),
    "broken in line 2": ("x.json", b'[\n{"question": }]', r"x\.json:2: not JSON"),
    "a number": ("x.json", b"5", r"x\.json: a \.json file holds one list of objects, this is"),
    "an object": ("x.json", b'{"rows": []}', r"x\.json: a \.json file holds one list of objects, this is an object"),
    "an empty list": ("x.json", b"[]", r"x\.json: no problem in it"),
    "a list of words": ("x.json", b'["a"]', r"x\.json, row 0: a row is a JSON object, this is a text"),
    "a line that is cut": ("x.jsonl", GOOD + b'{"question": "b', r"x\.jsonl:2: not JSON .*at column 14\); mend"),
    "a line that is a list": ("x.jsonl", GOOD + b"\n[1]\n", r"x\.jsonl:3: a row is a JSON object, this is a list"),
    "latin-1": ("x.jsonl", GOOD + b'{"question": "\xe9?"}', r"x\.jsonl:2: not UTF-8 .*; save the file as UTF-8"),
    "UTF-16": ("x.jsonl", GOOD.decode().encode("utf-16"), r"x\.jsonl:1: not "),
    "deep": ("x.jsonl", b"[" * 100_000, r"x\.jsonl:1: not JSON"),
    "a huge number": ("x.jsonl", b'{"answer": ' + b"9" * 5000 + b"}", r"x\.jsonl:1: not JSON .*digits"),
    "no answers": ("x.jsonl", b'{"question": "a?", "answer": ""}', r"all rows were skipped \(no answer: 1\)"),
    "no column of answers": (
        "x.jsonl",
        b'{"question": "a?", "gold": "1"}',
        r"x\.jsonl: no column answer, solution, .*; name it with data\.answer",
    ),
    "no column of questions": (
        "x.jsonl",
        b'{"ask": "a?", "answer": "1"}',
        r"no column prompt, problem, question \(columns: ask, answer\); name it with data\.prompt",
    ),
    "answers that are NaN": (
        "x.jsonl",
        b'{"question": "a?", "answer": NaN}',
        r"all rows were skipped \(answer is not finite",
    ),
    "answers that are objects": (
        "x.jsonl",
        b'{"question": "a?", "answer": {"value": 5}}',
        r"answer is an object \(name one of its fields with data\.answer: answer\.value\)",
    ),
    "questions that are pictures": (
        "x.jsonl",
        b'{"prompt": [{"role": "user", "content": [{"type": "image"}]}], "answer": "5"}',
        r"question holds image, which is no text",
    ),
    "an empty table": ("x.csv", b"", r"x\.csv: no problem in it"),
    "a header alone": ("x.csv", HEADER, r"x\.csv: no problem in it"),
    "too many cells": ("x.csv", HEADER + b"a,b,c\n", r"x\.csv:2: 3 cells under a header of 2; quote"),
    "a table in latin-1": ("x.csv", HEADER + b"\xff,1\n", r"x\.csv:2: not UTF-8"),
    "a quote that is left open": (
        "x.csv",
        HEADER + b'1+1?,2\n"2+1?,3\n3+1?,4\n',
        r"x\.csv:3: not CSV \(unexpected end of data\); is a quote",
    ),
    "a quote in a quote": ("x.csv", HEADER + b'"say "a" now",2\n', r"x\.csv:2: not CSV .* is a quote"),
    "two columns of a name": (
        "x.csv",
        b"question,answer,answer\na?,1,2\n",
        r"x\.csv:1: two columns are named 'answer'",
    ),
    "no table": ("x.parquet", b"nothing", r"x\.parquet: not a \.parquet file .*; copy or download it again"),
}


def refused(source: str, message: str, **options: object) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        load(source, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_file_that_cannot_be_used(folder: Path, case: str) -> None:
    name, content, message = BAD_FILES[case]
    (folder / name).write_bytes(content)
    refused(name, message)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompt": "qestion"}, r"data\.prompt: no column 'qestion' .* did you mean question\? \(columns"),
        ({"answer": "gold"}, r"data\.answer: no column 'gold' in x\.jsonl \(columns: question, answer\)"),
        ({"split": "test"}, r"data\.split: x\.jsonl has no split 'test'"),
        ({"params": {"size": 3}}, r"data\.params: x\.jsonl has no parameter 'size' \(it takes none\)"),
        ({"limit": 0}, r"data\.limit"),
        ({"where": "levl > 1"}, r"data\.where: no column 'levl' in x\.jsonl"),
        ({"where": "answer > 1"}, r"all rows were skipped \(not chosen by where: 1"),
        ({"where": "answer +"}, r"data\.where: cannot read 'answer \+'"),
        ({"streaming": True}, r"data\.streaming: .*data\.limit"),
    ],
)
def test_a_file_that_has_no_such_thing(folder: Path, options: dict[str, object], message: str) -> None:
    (folder / "x.jsonl").write_bytes(GOOD)
    refused("x.jsonl", message, **options)


def test_half_a_table(folder: Path) -> None:
    import datasets

    rows = [{"question": f"{n}?", "answer": str(n)} for n in range(99)]
    datasets.Dataset.from_list(rows).to_parquet(folder / "x.parquet")
    whole = (folder / "x.parquet").read_bytes()
    (folder / "x.parquet").write_bytes(whole[: len(whole) // 2])
    refused("x.parquet", r"x\.parquet: not a \.parquet file .*; copy or download it again")


def test_links_that_lead_nowhere(folder: Path) -> None:
    (folder / "gone.jsonl").symlink_to("nowhere.jsonl")
    refused("gone.jsonl", r"gone\.jsonl is a link to nowhere\.jsonl, which is no file")
    (folder / "folder").mkdir()
    (folder / "folder" / "me.jsonl").symlink_to("me.jsonl")
    refused("folder", r"folder/me\.jsonl: cannot be read \(Too many levels of symbolic links\)$")
