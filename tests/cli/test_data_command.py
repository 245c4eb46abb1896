"""`tina-lite data` as people call it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

DATA = Path(__file__).parents[3] / "shared" / "data"
LIMR = DATA / "limr-train.jsonl"
TINY = ("--model", "builtin:tiny")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    rows = [{"question": f"{n}+1? \x1b[2J", "answer": n + 1} for n in range(20)]
    rows += [{"question": "no answer", "answer": None}, {"question": "What is " + "1+" * 80 + "1?", "answer": 81}]
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = "data: {source: mine.jsonl, system_prompt: Be brief.}\nrollout: {max_prompt_length: 64}\n"
    (tmp_path / "mine.yaml").write_text(f"model: {{id: builtin:tiny}}\n{settings}")
    return tmp_path


def test_what_a_person_sees(folder: Path, tina: Callable[..., Any]) -> None:
    done = tina("data", "mine.yaml", "--head", "1")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[:6] == [
        "data:      mine, 22 rows",
        "train:     20 problems",
        "skipped:   2",
        "  1 no answer: row 20",
        "  1 prompt too long: row 21",
        "answers:   integer 21; of 21 problems",
    ]
    assert lines[6].startswith("tokens:    5% ")
    assert "<|user|>Be brief.<|user|>" in done.out
    assert done.out.rstrip().endswith("<|assistant|><think>")
    assert "\x1b" not in done.out


def test_where_every_prompt_is_too_long_the_rest_is_shown_all_the_same(
    folder: Path, tina: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    done = tina("data", "mine.yaml", "--set", "rollout.max_prompt_length=4")
    assert done.code == 2
    assert done.err == "mine: no prompt is short enough for rollout.max_prompt_length; a run would not start\n"
    assert "train:     0 problems" in done.out
    assert "21 prompt too long: rows 0, 1" in done.out
    assert "all 21 prompts are longer than rollout.max_prompt_length, 4 tokens; raise it" in done.out


def test_json_is_one_object_with_every_row_named(folder: Path, tina: Callable[..., Any]) -> None:
    done = tina("data", "mine.yaml", "--json")
    (line,) = done.out.splitlines()
    found = json.loads(line)
    assert (found["rows"], found["train"]) == (22, 20)
    assert found["skipped"] == {
        "no answer": {"count": 1, "rows": [20]},
        "prompt too long": {"count": 1, "rows": [21]},
    }
    assert found["prompt_tokens"]["measured"] == 21
    assert [prompt["prompt"].count("Be brief.") for prompt in found["head"]] == [1, 1, 1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none.yaml"], "no such recipe"),
        (["mine.yaml", "--set", "data.source=none.jsonl"], "no file none.jsonl"),
        (["mine.yaml", "--set", "data.where=levl > 3"], "data.where: no column 'levl'"),
        (["mine.yaml", "--set", "data.where=answer >"], "--set: data.where: got 'answer >'; cannot read"),
        (["mine.yaml", "--set", "data.target_length=[5, 1]"], "needs [shortest, longest]"),
        (["paper/limr", *TINY], "could not load the data set 'GAIR/LIMR'"),
        (["mine.yaml", "--head", "-1"], "--head"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(
    folder: Path, tina: Callable[..., Any], arguments: list[str], said: str
) -> None:
    done = tina("data", *arguments)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert len(done.err.strip().splitlines()) == 1


@pytest.mark.skipif(not LIMR.exists(), reason="needs the data set limr-train")
def test_limr_has_1389_rows_with_or_without_a_tokenizer(folder: Path, tina: Callable[..., Any]) -> None:
    done = tina("data", "paper/limr", *TINY, "--set", f"data.source={LIMR}", "--json")
    found = json.loads(done.out)
    assert found["rows"] == 1389 == found["train"] + sum(one["count"] for one in found["skipped"].values())
    assert set(found["skipped"]) == {"prompt too long"}
    bare = tina("data", "paper/limr", "--set", f"data.source={LIMR}", "--head", "0")
    assert bare.out.splitlines() == [
        "data:      limr-train, 1389 rows",
        "train:     1389 problems",
        "skipped:   none",
        "answers:   integer 913, expression 228, fraction 216, decimal 31, text 1; of 1,389 problems",
    ]
    assert "neither measured nor shown" in bare.err
