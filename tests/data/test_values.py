"""Whatever people's data holds is read, or named for what it is: cases from bug reports of other tools."""

import json
import math
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from problem_files import pairs, write
from sections import load

from tina_lite.data.benchmarks import load_benchmark
from tina_lite.data.values import answers_of
from tina_lite.recipe.schema import DataSection
from tina_lite.rewards.accuracy import accuracy
from tina_lite.rewards.call import chat
from tina_lite.rewards.stated import choice, exact_match, numeric
from tina_lite.util.errors import BadInput

ASK = {"question": "What is 2+3?"}
LIKE = DataSection(source="x", prompt="query", answer="target")


@pytest.mark.parametrize(
    ("value", "golds"),
    [
        (["5", "5.0"], ["5", "5.0"]),
        ([5, 5.0], "5"),
        ('["half", "1/2"]', ["half", "1/2"]),
        ("[1, 2]", "[1, 2]"),
        (True, ["True", "Yes"]),
        (False, ["False", "No"]),
        (0.00002, "0.00002"),
        (1e-7, "0.0000001"),
        (1e22, "1" + "0" * 22),
        (10**30, "1" + "0" * 30),
        (-0.5, "-0.5"),
        (100, "100"),
        (0, "0"),
    ],
)
def test_an_answer_of_any_type_is_read(folder: Path, value: object, golds: object) -> None:
    problems = load(write(folder / "x.jsonl", {**ASK, "answer": value}))
    assert problems[0].gold == golds


@given(
    st.floats(allow_nan=False, allow_infinity=False)
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False)
)
def test_a_number_is_written_in_digits_and_keeps_its_value(number: float | int | Decimal) -> None:
    (text,) = answers_of(number)
    assert set(text) <= set("-0123456789.")
    assert type(number)(text) == number if text else False


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "NaN", "nan"])
def test_what_is_no_number_is_no_gold(folder: Path, value: object) -> None:
    problems = load(write(folder / "x.jsonl", {**ASK, "answer": value}, {**ASK, "answer": 5}))
    assert pairs(problems) == [("What is 2+3?", "5")]
    assert problems.skipped == {"answer is not finite": 1}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (
            {**ASK, "answer": {"value": 5, "unit": "m"}},
            "name one of its fields with data.answer: answer.value or answer.unit",
        ),
        ({"question": 5, "answer": "5"}, "question is a number"),
        ({"question": ["a", "b"], "answer": "5"}, "question is a list"),
        ({"prompt": [{"role": "system", "content": "Be brief."}], "answer": "5"}, "chat without a user message"),
        (
            {"prompt": [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}], "answer": "5"},
            "question holds image_url, which is no text",
        ),
    ],
)
def test_what_cannot_be_read_is_named_and_not_called_missing(folder: Path, row: object, reason: str) -> None:
    with pytest.raises(BadInput) as error:
        load(write(folder / "x.jsonl", row))
    assert reason in str(error.value)
    assert "no answer" not in str(error.value)
    assert "no question" not in str(error.value)


def test_of_two_columns_the_one_that_is_filled(folder: Path) -> None:
    rows = [
        {"problem": "a?", "answer": None, "solution": "We add: \\boxed{5}"},
        {"problem": "b?", "answer": "", "solution": "6"},
        {"problem": "c?", "answer": "7", "solution": "8"},
        {"prompt": None, "problem": "d?", "answer": math.nan, "solution": "#### 9"},
        {"prompt": [{"role": "user", "content": "e?"}], "problem": "no", "answer": "\\frac{1", "solution": "10"},
    ]
    problems = load(write(folder / "x.jsonl", *rows))
    assert pairs(problems) == [("a?", "5"), ("b?", "6"), ("c?", "7"), ("d?", "9"), ("e?", "10")]
    assert not problems.skipped


def test_a_named_column_has_no_stand_in(folder: Path) -> None:
    source = write(
        folder / "x.jsonl", {"problem": "a?", "answer": "", "solution": "5"}, {"problem": "b?", "answer": "6"}
    )
    problems = load(source, answer="answer")
    assert pairs(problems) == [("b?", "6")]
    assert problems.skipped == {"no answer": 1}


SYSTEM = {"role": "system", "content": "Answer in French only."}
SHOT = [{"role": "user", "content": "1+1?"}, {"role": "assistant", "content": "deux"}]
ASKED = {"role": "user", "content": "What is 2+3?"}


@pytest.mark.parametrize(
    "prompt",
    [
        [SYSTEM, *SHOT, ASKED],
        json.dumps([SYSTEM, *SHOT, ASKED]),
        [SYSTEM, *SHOT, {"role": "user", "content": [{"type": "text", "text": "What is 2+3?"}]}],
        [
            {"from": "system", "value": SYSTEM["content"]},
            {"from": "human", "value": "1+1?"},
            {"from": "gpt", "value": "deux"},
            {"from": "human", "value": "What is 2+3?"},
        ],
    ],
)
def test_a_chat_is_read_whole_however_it_is_stored(folder: Path, prompt: object) -> None:
    (problem,) = load(write(folder / "x.jsonl", {"prompt": prompt, "answer": "5"}))
    assert problem.question == "What is 2+3?"
    assert list(problem.turns) == [SYSTEM, *SHOT]


def test_what_follows_the_last_question_is_left_out_and_said(folder: Path) -> None:
    chats = [[ASKED, {"role": "assistant", "content": "5"}], [ASKED]]
    problems = load(write(folder / "x.jsonl", *({"messages": chat, "answer": "5"} for chat in chats)))
    assert len(problems) == 2
    assert (
        problems[:1].notes
        == problems.notes
        == ("1 chats go on after the last user message; what follows it is left out",)
    )


def test_a_text_that_looks_like_a_chat_stays_a_text(folder: Path) -> None:
    texts = ['[{"a": 1}] has how many keys?', '[{"a": 1}]', "[", '{"role": "user"}']
    problems = load(write(folder / "x.jsonl", *({"question": text, "answer": "1"} for text in texts)))
    assert [problem.question for problem in problems] == texts


def test_any_of_several_golds_is_right() -> None:
    texts = chat(r"\boxed{1/2}", r"\boxed{half}", r"\boxed{0.3}", r"\boxed{0.3}")
    golds = [["half", "1/2"], ["half", "1/2"], ["half", "1/2"], ["", "{"]]
    assert accuracy(texts, golds) == [1.0, 1.0, 0.0, None]
    assert exact_match(texts, golds)[:3] == [1.0, 1.0, 0.0]
    assert numeric(chat("7", "8", "9"), [[7, 8], [7, 8], [7, 8]]) == [1.0, 1.0, 0.0]
    assert choice(chat("Answer: A", "Answer: C"), [["A", "B"], ["A", "B"]]) == [1.0, 0.0]


ROWS = [{**ASK, "answer": "5"}, {**ASK, "answer": "6"}]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.JSONL", LINES),
        ("x.ndjson", LINES),
        ("x.json", LINES),
        ("x.jsonl", "\n\n" + LINES),
        ("x.txt", LINES),
        ("3f2a9c", LINES),
        ("3f2a9d", json.dumps(ROWS)),
        ("x.JSON", json.dumps(ROWS, indent=1)),
        ("x.CSV", "question,answer\nWhat is 2+3?,5\nWhat is 2+3?,6\n"),
    ],
)
def test_the_content_says_what_a_file_is(folder: Path, name: str, content: str) -> None:
    (folder / name).write_text(content)
    assert pairs(load(name)) == [("What is 2+3?", "5"), ("What is 2+3?", "6")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "git lfs pull"),
        (b"PK\x03\x04rest", "unpack it"),
    ],
)
def test_what_is_no_data_yet_says_what_to_do(folder: Path, content: bytes, said: str) -> None:
    (folder / "x.jsonl").write_bytes(content)
    with pytest.raises(BadInput, match=said):
        load("x.jsonl")


def test_a_link_is_followed_by_content_and_named_as_given(folder: Path) -> None:
    (folder / "blobs").mkdir()
    (folder / "snap").mkdir()
    (folder / "blobs" / "3f2a9c").write_text(LINES)
    (folder / "snap" / "train.jsonl").symlink_to("../blobs/3f2a9c")
    assert load("snap/train.jsonl").name == "train"


def test_an_evaluation_file_is_read_with_the_columns_of_the_training_set(folder: Path) -> None:
    source = write(folder / "query_test.jsonl", {"query": "a?", "target": "5", "answer": "0"})
    assert pairs(load_benchmark(source, like=LIKE).problems) == [("a?", "5")]
    usual = write(folder / "usual_test.jsonl", {"question": "b?", "answer": "6"})
    assert pairs(load_benchmark(usual, like=LIKE).problems) == [("b?", "6")]
    known = write(folder / "aime24.jsonl", {"query": "c?", "target": "7"})
    assert load_benchmark(known, like=LIKE).problems[0].answer == "7"
