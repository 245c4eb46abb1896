"""What people's own data looked like, and what becomes of it: small inputs, each with its right outcome."""

import datetime
import errno
import json
import os
from decimal import Decimal
from pathlib import Path

import pytest
from problem_files import pairs, write
from sections import load

from tina_lite.data.benchmarks import load_benchmark
from tina_lite.util.errors import BadInput, NoRoom

datasets = pytest.importorskip("datasets")
pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def asked(count: int, name: str) -> list[dict[str, str]]:
    return [{"question": f"What is {n} plus 1 ({name})?", "answer": str(n + 1)} for n in range(count)]


def table(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)


@pytest.mark.parametrize("inside", ["", "data/"])
def test_a_folder_has_splits(folder, inside) -> None:
    table(folder / f"mine/{inside}train-00000-of-00002.parquet", asked(4, "a"))
    table(folder / f"mine/{inside}train-00001-of-00002.parquet", asked(3, "b"))
    table(folder / f"mine/{inside}test-00000-of-00001.parquet", asked(2, "c"))
    (folder / "mine" / "README.md").write_text("of two splits")
    assert (len(load("mine")), len(load("mine", split="train")), len(load("mine", split="test"))) == (7, 7, 2)
    with pytest.raises(BadInput, match=r"^data\.split: mine has no split 'dev'; it has: train, test$"):
        load("mine", split="dev")


def test_a_folder_without_splits_is_one_set(folder) -> None:
    (folder / "mine").mkdir()
    for name in ("contest", "latest"):
        (folder / "mine" / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked(3, name)))
    assert len(load("mine")) == 6
    (folder / "mine" / "gone.jsonl").symlink_to("nowhere")
    with pytest.raises(BadInput, match=r"gone\.jsonl: cannot be read \(No such file or directory\)"):
        load("mine")


def test_what_datasets_saved(folder) -> None:
    one = datasets.Dataset.from_list(asked(5, "a"))
    one.save_to_disk("one")
    datasets.DatasetDict(train=one, test=one.select(range(2))).save_to_disk("both")
    assert (len(load("one")), len(load("both")), len(load("both", split="test"))) == (5, 5, 2)
    with pytest.raises(BadInput, match=r"both has no split 'dev'; it has: train, test$"):
        load("both", split="dev")


def test_a_list_of_data_sets_is_no_data(folder) -> None:
    """As LLaMA-Factory keeps one beside its files."""
    (folder / "mine").mkdir()
    (folder / "mine" / "dataset_info.json").write_text(json.dumps({"mine": {"file_name": "mine.jsonl"}}))
    (folder / "mine" / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked(3, "a")))
    assert len(load("mine")) == 3


TYPED = {
    "float32": (pa.array([132.04, 0.1], pa.float32()), ["132.04", "0.1"]),
    "a float32 inside": (
        pa.array([{"target": 2.4}, {"target": 7.0}], pa.struct({"target": pa.float32()})),
        ["2.4", "7"],
    ),
    "float64": (pa.array([132.0399932861328, 2.0**-16]), ["132.0399932861328", "0.0000152587890625"]),
    "a decimal": (pa.array([Decimal("1.50"), Decimal("2.00")]), ["1.5", "2"]),
    "a date": (pa.array([datetime.date(2024, 5, 1), datetime.date(1999, 12, 31)]), ["2024-05-01", "1999-12-31"]),
    "a time": (pa.array([datetime.time(9, 30), datetime.time(9, 30, 5)]), ["09:30", "09:30:05"]),
    "a timestamp": (
        pa.array([datetime.datetime(2024, 5, 1), datetime.datetime(2024, 5, 1, 9, 30)]),
        ["2024-05-01", "2024-05-01 09:30"],
    ),
    "bytes": (pa.array([b"12", b"x = 5"]), ["12", "x = 5"]),
}


@pytest.mark.parametrize("kind", TYPED)
def test_a_typed_column_says_what_was_meant(folder, kind) -> None:
    column, golds = TYPED[kind]
    questions = pa.array([f"Question {n}?" for n in range(2)])
    pq.write_table(pa.table({"question": questions, "gold": column}), "x.parquet")
    name = "gold.target" if "inside" in kind else "gold"
    assert [gold for _, gold in pairs(load("x.parquet", answer=name))] == golds


def test_bytes_that_are_no_text_are_named(folder) -> None:
    table(folder / "x.parquet", [{"question": "What?", "answer": b"\xff\xfe"}])
    with pytest.raises(BadInput, match="answer is of type bytes: 1"):
        load("x.parquet")


def test_the_name_of_a_class_is_the_answer(folder) -> None:
    features = datasets.Features(question=datasets.Value("string"), answer=datasets.ClassLabel(names=["yes", "no"]))
    made = datasets.Dataset.from_dict({"question": ["a?", "b?", "c?"], "answer": [1, 0, -1]}, features=features)
    made.save_to_disk("mine")
    problems = load("mine")
    assert pairs(problems) == [("a?", "no"), ("b?", "yes")]
    assert problems.skipped == {"no answer": 1}


def test_a_gold_inside_is_named_by_its_whole_path(folder) -> None:
    rows = [{"question": "a?", "reward_model": {"ground_truth": {"target": ["Paris", "paris"], "style": "rule"}}}]
    source = write(folder / "x.jsonl", *rows)
    with pytest.raises(BadInput, match=r"data\.answer: reward_model\.ground_truth\.target or reward_model\."):
        load(source)
    assert pairs(load(source, answer="reward_model.ground_truth.target")) == [("a?", "Paris")]


@pytest.mark.parametrize("separator", [";", "\t", "|", ","])
def test_a_table_says_what_separates_its_cells(folder, separator) -> None:
    lines = [("question", "answer"), ('"Two, or three; or four| of it?"', "5"), ("b?", '"x, y; z|"')]
    (folder / "x.csv").write_text("".join(separator.join(line) + "\n" for line in lines))
    assert pairs(load("x.csv")) == [("Two, or three; or four| of it?", "5"), ("b?", "x, y; z|")]
    assert pairs(load("x.csv"))[1:] == [("b?", "x, y; z|")]


def test_decimal_commas(folder) -> None:
    rows = "What, and why?;2,5\nb?;1.234,75\nc?;-12,125\nd?;7\n"
    (folder / "x.csv").write_text("question;answer\n" + rows)
    assert [gold for _, gold in pairs(load("x.csv"))] == ["2.5", "1234.75", "-12.125", "7"]
    (folder / "y.csv").write_text("question;answer\na?;1,234\nb?;12,345\n")
    assert [gold for _, gold in pairs(load("y.csv"))] == ["1,234", "12,345"], "these may be thousands"
    (folder / "z.csv").write_text('question,answer\na?,"2,5"\n')
    assert [gold for _, gold in pairs(load("z.csv"))] == ["2,5"], "here a comma separates"


@pytest.mark.parametrize("spelling", ["NA", "N/A", "n/a", "#N/A", "NULL", "null", "None", "<NA>", " NA "])
def test_what_is_not_there_has_many_spellings(folder, spelling) -> None:
    (folder / "x.csv").write_text(f"question,answer\na?,{spelling}\nb?,Na\n")
    problems = load("x.csv")
    assert pairs(problems) == [("b?", "Na")]
    assert problems.skipped == {"no answer": 1}


def test_a_benchmark_in_a_folder_is_its_test_split(folder) -> None:
    table(folder / "mine/train.parquet", asked(4, "a"))
    table(folder / "mine/test.parquet", asked(2, "c"))
    assert len(load_benchmark("./mine").problems) == 2


MMLU = {"question": "Which is a prime?", "choices": ["4", "7", "9", "1"], "answer": 1}
ARC = {"question": "Which is red?", "choices": {"text": ["grass", "blood"], "label": ["1", "2"]}, "answerKey": "2"}
AQUA = {"question": "What is 2+3?", "options": ["A)4", "B)5", "C)6"], "correct": "B", "rationale": "It is 5."}
TABLE = {"question": "Which is even?", "A": "3", "B": "5", "C": "8", "D": "9", "answer": "C"}
PRO = {"question": "Which is odd?", "options": ["2", "3", "4"], "answer": "B", "answer_index": 1, "cot_content": ""}
WORDS = {"question": "Which flies?", "options": ["a stone", "a bird"], "answer": "a bird"}
BY_ONE = [{"question": f"Pick {n}?", "option_a": "x", "option_b": "y", "option_c": "z", "answer": n} for n in (1, 2, 3)]


@pytest.mark.parametrize(
    ("rows", "question", "golds"),
    [
        ([MMLU], "Which is a prime?\n\nA) 4\nB) 7\nC) 9\nD) 1", ["B", "7"]),
        ([ARC], "Which is red?\n\nA) grass\nB) blood", ["B", "blood"]),
        ([AQUA], "What is 2+3?\n\nA) 4\nB) 5\nC) 6", ["B", "5"]),
        ([TABLE], "Which is even?\n\nA) 3\nB) 5\nC) 8\nD) 9", ["C", "8"]),
        ([PRO], "Which is odd?\n\nA) 2\nB) 3\nC) 4", ["B", "3"]),
        ([WORDS], "Which flies?\n\nA) a stone\nB) a bird", ["B", "a bird"]),
        (BY_ONE, "Pick 1?\n\nA) x\nB) y\nC) z", ["A", "x"]),
    ],
    ids=["mmlu", "arc", "aqua", "a table", "mmlu-pro", "by its words", "counted from 1"],
)
def test_options_are_asked_and_their_letter_is_right(folder, rows, question, golds) -> None:
    problems = load(write(folder / "x.jsonl", *rows))
    assert (problems[0].question, problems[0].gold) == (question, golds)
    assert "questions are asked with the options in" in problems.notes[0]
    assert set(rows[0]) - {"question", "answer"} <= set(problems[0].columns)


def test_the_class_of_an_option_is_its_letter(folder) -> None:
    features = datasets.Features(
        question=datasets.Value("string"),
        choices=datasets.List(datasets.Value("string")),
        answer=datasets.ClassLabel(names=["A", "B", "C", "D"]),
    )
    row = {**MMLU, "answer": 2, "choices": ["1", "4", "7", "9"]}
    datasets.Dataset.from_list([row], features=features).to_parquet("x.parquet")
    assert load("x.parquet")[0].gold == ["C", "7"]


def test_options_that_the_question_has_already_are_not_asked_twice(folder) -> None:
    asked = "Which is a prime? A: 4, B: 7, C: 9, D: 1"
    problems = load(write(folder / "x.jsonl", {**MMLU, "question": asked}))
    assert (problems[0].question, problems[0].gold) == (asked, ["B", "7"])


def test_what_names_no_option_is_skipped_and_options_without_an_answer_are_none(folder) -> None:
    rows = [{**MMLU, "question": f"Which {n}?"} for n in range(20)]
    problems = load(write(folder / "x.jsonl", *rows, {**MMLU, "answer": 8}))
    assert problems.skipped == {"answer names none of the options": 1}
    free = {"question": "How many are 2 and 3?", "options": ["red", "blue"], "answer": "5"}
    assert pairs(load(write(folder / "y.jsonl", free))) == [("How many are 2 and 3?", "5")]


@pytest.mark.parametrize(
    "row",
    [
        {"question": "<image>Find the area.", "answer": "5"},
        {"question": "Find the area.", "answer": "5", "image": "pictures/1.png"},
        {"question": "Find the area.", "answer": "5", "images": [{"path": "1.png"}]},
        {"prompt": [{"role": "user", "content": "<image_1> What is it?"}], "answer": "5"},
    ],
)
def test_a_question_about_a_picture_is_left_out(folder, row) -> None:
    plain = {"question": "1+1?", "prompt": None, "answer": "2", "image": None}
    problems = load(write(folder / "x.jsonl", row, plain))
    assert pairs(problems) == [("1+1?", "2")]
    assert problems.skipped == {"a picture belongs to the question, which no text model sees": 1}
    with pytest.raises(BadInput, match=r"all rows were skipped \(a picture belongs to the question, .*: 1\)"):
        load(write(folder / "y.jsonl", row))


def test_pictures_of_a_parquet_file_are_not_decoded(folder) -> None:
    features = datasets.Features(
        question=datasets.Value("string"), answer=datasets.Value("string"), images=datasets.List(datasets.Image())
    )
    rows = [
        {"question": "Which?", "answer": "1", "images": [{"bytes": b"no picture", "path": None}]},
        {"question": "1+1?", "answer": "2", "images": []},
    ]
    table = pa.Table.from_pylist(rows, schema=features.arrow_schema)
    pq.write_table(table, "x.parquet")
    assert pairs(load("x.parquet")) == [("1+1?", "2")]


@pytest.mark.parametrize("why", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_cache_that_cannot_be_written_is_no_broken_file(folder, monkeypatch, why) -> None:
    table(folder / "x.parquet", asked(3, "a"))

    def generated(*_, **__):
        try:
            raise OSError(why, os.strerror(why), "/cache/parquet")
        except OSError as error:
            raise datasets.exceptions.DatasetGenerationError(
                "An error occurred while generating the dataset"
            ) from error

    monkeypatch.setattr(datasets.Dataset, "from_parquet", generated)
    with pytest.raises(
        NoRoom, match=rf"^x\.parquet: is read by way of \S+, .* \({os.strerror(why)}\); .*HF_DATASETS_CACHE"
    ):
        load("x.parquet")
