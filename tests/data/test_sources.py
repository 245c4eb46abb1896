"""Problems from .csv, .parquet, folders, functions and mixtures of tasks, and the rows that `where` chooses."""

import csv
import gzip
import io
import json
import os
import random
import sys
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st
from problem_files import pairs, write
from sections import load

from tina_lite.data.readers import Csv
from tina_lite.util.errors import BadInput, NoRoom

CELLS = st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"], include_characters='\n,"'), max_size=8)


def test_csv_as_spreadsheets_write_it(folder: Path) -> None:
    text = '\ufeffquestion,answer,level\r\n"a, or\r\nb?",1,3\r\n\r\n"say ""c""?",2,5\r\nd?,,1\r\n'
    (folder / "x.csv").write_bytes(text.encode())
    problems = load("x.csv")
    assert pairs(problems) == [("a, or\r\nb?", "1"), ('say "c"?', "2")]
    assert problems.skipped_rows["no answer"].tolist() == [2]
    assert problems[1].columns == {"level": "5"}
    assert pairs(load("x.csv", where="level > 4")) == [('say "c"?', "2")]


@given(st.lists(st.tuples(CELLS, CELLS), max_size=8), st.randoms())
def test_any_row_of_a_csv_can_be_read_again(tmp_path_factory, cells: list[tuple[str, str]], rng: random.Random) -> None:
    path = tmp_path_factory.mktemp("csv") / "x.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("a", "b"), *cells])
    reader = Csv(path, path)
    rows = list(reader.rows())
    assert rows == [{"a": a, "b": b} for a, b in cells]
    order = rng.sample(range(len(rows)), len(rows))
    assert [reader.row(index) for index in order] == [rows[index] for index in order]


def test_parquet(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", folder / "cache")
    chat = [{"role": "system", "content": "s"}, {"role": "user", "content": "a?"}]
    rows = [{"prompt": chat, "reward_model": {"ground_truth": str(n), "style": "rule"}, "n": n} for n in range(3)]
    datasets.Dataset.from_list(rows).to_parquet(folder / "x.parquet")
    problems = load("x.parquet", where="n != 1")
    assert pairs(problems) == [("a?", "0"), ("a?", "2")]
    assert problems[1].columns["reward_model"] == {"ground_truth": "2", "style": "rule"}
    assert problems[1].turns == ({"role": "system", "content": "s"},)


def test_a_folder_is_its_files_in_the_order_of_their_names(folder: Path) -> None:
    (folder / "data").mkdir()
    write(folder / "data" / "b.jsonl", {"question": "c?", "answer": "3"}, {"question": "d?"})
    (folder / "data" / "a.json").write_text('[{"question": "a?", "answer": 1}, {"question": "b?", "answer": 2}]')
    (folder / "data" / "c.csv").write_text("question,answer\ne?,5\n")
    (folder / "data" / "README.md").write_text("no data")
    problems = load("data")
    assert pairs(problems) == [("a?", "1"), ("b?", "2"), ("c?", "3"), ("e?", "5")]
    assert problems[3].index == 4
    assert problems.name == "data"
    (folder / "empty").mkdir()
    with pytest.raises(
        BadInput,
        match=r"data\.source: the folder empty holds no \.jsonl, \.ndjson, \.json, \.csv, \.tsv, \.parquet",
    ):
        load("empty")


ROWS = [{"question": f"What is {n},\t{n}?", "answer": str(n * n)} for n in range(30)]


def as_table(delimiter: str) -> bytes:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows([("question", "answer"), *(row.values() for row in ROWS)])
    return text.getvalue().encode()


FORMS = {
    "mine.jsonl": "".join(json.dumps(row) + "\n" for row in ROWS).encode(),
    "mine.json": json.dumps(ROWS).encode(),
    "mine.csv": as_table(","),
    "mine.tsv": as_table("\t"),
}
PACKED = {"gz": gzip.compress, "zst": lambda data: pyarrow.compress(data, "zstd", asbytes=True)}


@pytest.fixture
def cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where files are unpacked."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    return folder / "cache" / "tina-lite" / "unpacked"


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
@pytest.mark.parametrize("name", FORMS)
def test_the_same_problems_in_any_form_are_the_same(folder: Path, cache: Path, name: str, suffix: str) -> None:
    content = FORMS[name]
    (folder / f"{name}{suffix}").write_bytes(PACKED[suffix[1:]](content) if suffix else content)
    (folder / "plain.jsonl").write_bytes(FORMS["mine.jsonl"])
    found, plain = load(f"{name}{suffix}"), load("plain.jsonl")
    assert found.name == "mine"
    assert pairs(found) == [(row["question"], row["answer"]) for row in ROWS]
    assert found.keys() == plain.keys()


@pytest.mark.parametrize("form", ["jsonl", "json", "parquet", "py"])
def test_a_digest_is_of_every_column_of_every_row(folder: Path, form: str) -> None:
    rows = [{"question": f"{n}+1?", "answer": str(n + 1), "level": n % 5, "tags": ["sum", None]} for n in range(5000)]

    def digest() -> str:
        place = folder / f"many.{form}"
        if form == "py":
            place.write_text(f"def rows():\n    return {rows!r}\n")
            sys.modules.pop(next((name for name in sys.modules if name.startswith("tina_lite_user_many")), ""), None)
        elif form == "parquet":
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), place)
        else:
            text = json.dumps(rows) if form == "json" else "".join(json.dumps(row) + "\n" for row in rows)
            place.write_text(text)
        return load(f"{place}:rows" if form == "py" else place.name).digest()

    first = digest()
    assert digest() == first
    rows[4321]["level"] = 9
    other = digest()
    rows[4321]["level"], rows[17]["answer"] = 4321 % 5, "0"
    assert len({first, other, digest()}) == 3
    rows[17]["answer"] = "18"
    assert digest() == first


def test_a_packed_file_is_unpacked_elsewhere_where_the_cache_cannot_be_written(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.parent.parent.write_text("a file where a folder should be")
    monkeypatch.setattr("tempfile.tempdir", str(folder / "tmp"))
    (folder / "tmp").mkdir()
    (folder / "mine.jsonl.gz").write_bytes(PACKED["gz"](FORMS["mine.jsonl"]))
    assert pairs(load("mine.jsonl.gz")) == [(row["question"], row["answer"]) for row in ROWS]
    (own,) = (folder / "tmp").iterdir()
    assert own.stat().st_mode & 0o777 == 0o700
    stranger = os.getuid() + 1
    monkeypatch.setattr("os.getuid", lambda: stranger)
    own.rename(folder / "tmp" / f"tina-lite-{stranger}")
    with pytest.raises(NoRoom, match=r"cannot be unpacked into \S+ \(belongs to another user\)"):
        load("mine.jsonl.gz")


def test_a_packed_file_is_unpacked_once_and_again_where_it_has_changed(folder: Path, cache: Path) -> None:
    path = folder / "mine.jsonl.gz"
    path.write_bytes(PACKED["gz"](FORMS["mine.jsonl"]))
    load(path.name)
    (one,) = cache.iterdir()
    assert one.read_bytes() == FORMS["mine.jsonl"]
    made = one.stat().st_ino
    load(path.name)
    assert [file.stat().st_ino for file in cache.iterdir()] == [made]
    path.write_bytes(PACKED["gz"](FORMS["mine.jsonl"][: FORMS["mine.jsonl"].index(b"\n")]))
    assert len(load(path.name)) == 1
    os.utime(one, (0, 0))
    path.write_bytes(PACKED["gz"](FORMS["mine.jsonl"][:-1]))
    assert len(load(path.name)) == 30
    assert not one.exists(), "nobody has asked for it in thirty days"


def test_packed_files_in_a_folder_and_under_another_name(folder: Path, cache: Path) -> None:
    (folder / "data").mkdir()
    (folder / "data" / "a.tsv.gz").write_bytes(PACKED["gz"](FORMS["mine.tsv"]))
    (folder / "data" / "b.jsonl").write_bytes(PACKED["zst"](FORMS["mine.jsonl"]))
    assert len(load("data")) == 60


@pytest.mark.parametrize("form", PACKED)
def test_a_packed_file_that_is_cut_off_is_one_line(folder: Path, cache: Path, form: str) -> None:
    noise = random.Random(1).randbytes(100_000)
    (folder / f"mine.jsonl.{form}").write_bytes(PACKED[form](FORMS["mine.jsonl"] + noise)[:50_000])
    with pytest.raises(BadInput, match=rf"^mine\.jsonl\.{form}: cannot be unpacked \(.*\); copy or download it again$"):
        load(f"mine.jsonl.{form}")
    assert list(cache.iterdir()) == []


def test_rows_that_ask_the_same_again_are_skipped_where_that_is_asked_for(folder: Path) -> None:
    rest = [{"role": "assistant", "content": "b"}, {"role": "user", "content": "go on"}]
    chat, other = ([{"role": "user", "content": first}, *rest] for first in ("a?", "c?"))
    write(
        folder / "x.jsonl",
        {"question": "What is 2+3?", "answer": "5"},
        {"question": "what is  2+3?", "answer": "5"},
        {"question": "What is 2+3?", "answer": "6"},
        {"question": chat, "answer": "1"},
        {"question": other, "answer": "1"},
        {"question": chat, "answer": "1"},
    )
    assert len(load("x.jsonl")) == 6
    problems = load("x.jsonl", once=True)
    assert [problem.index for problem in problems] == [0, 2, 3, 4]
    assert problems.skipped == {"the same question and answer as an earlier row": 2}
    assert [problem.index for problem in load("x.jsonl", once=True, limit=3)] == [0, 2, 3]


SOURCE = """
def rows(count=2):
    return ({"question": f"{n}?", "answer": n} for n in range(count))

def words():
    return ["a", "b"]

def text():
    return "a"

def broken():
    return 1 / 0

def leaves():
    raise SystemExit("bye")
"""


def test_a_function_gives_rows(folder: Path) -> None:
    (folder / "mine.py").write_text(SOURCE)
    assert pairs(load("mine.py:rows", params={"count": 3})) == [("0?", "0"), ("1?", "1"), ("2?", "2")]
    assert len(load("mine.py:rows", where="answer > 0")) == 1
    assert load("mine.py:rows").name == "rows"


@pytest.mark.parametrize(
    ("source", "params", "message"),
    [
        ("mine.py:row", {}, r"data\.source: mine\.py:row: row is not there; did you mean rows\?"),
        ("other.py:rows", {}, r"data\.source: no file other\.py in "),
        ("no_such_module:rows", {}, r"data\.source: no module 'no_such_module' here"),
        ("mine.py:rows", {"size": 3}, r"data\.source: mine\.py:rows raised TypeError: .*called with \{'size': 3\}"),
        ("mine.py:broken", {}, r"mine\.py:broken raised ZeroDivisionError"),
        ("mine.py:leaves", {}, r"mine\.py:leaves raised SystemExit: bye"),
        ("mine.py:text", {}, r"gave a text; it should give rows"),
        ("mine.py:words", {}, r"mine\.py:words, row 0: a row is a JSON object, this is a text"),
    ],
)
def test_a_function_that_does_not(folder: Path, source: str, params: dict[str, object], message: str) -> None:
    (folder / "mine.py").write_text(SOURCE)
    with pytest.raises(BadInput, match=message) as caught:
        load(source, params=params)
    assert "\n" not in str(caught.value)


def test_the_skipped_rows_are_named(folder: Path) -> None:
    rows = [{"question": "a?", "answer": "1", "level": 1}, {"question": "b?", "level": 5}, {"answer": "1", "level": 5}]
    rows += [{"question": "c?", "answer": "\\frac{1", "level": 4}, {"question": "d?", "answer": "2", "level": 3}]
    problems = load(write(folder / "x.jsonl", *rows), where="level >= 3")
    assert pairs(problems) == [("d?", "2")]
    assert {reason: list(skipped) for reason, skipped in problems.skipped_rows.items()} == {
        "not chosen by where": [0],
        "no answer": [1],
        "no question": [2],
        "gold does not parse": [3],
    }


def test_a_solution_that_marks_no_answer_is_no_gold_unless_its_column_is_named(folder: Path) -> None:
    rows = [{"problem": "a?", "solution": "We add them all and get 5."}, {"problem": "b?", "solution": "$x = 5$"}]
    source = write(folder / "x.jsonl", *rows)
    problems = load(source)
    assert pairs(problems) == [("b?", "x = 5")]
    assert problems.skipped == {"solution marks no answer (box it, or write #### before it)": 1}
    assert pairs(load(source, answer="solution"))[0] == ("a?", "We add them all and get 5")


PAPER = {
    "still": {"question": "a?", "answer": "9"},
    "deepscaler": {"problem": "a?", "answer": "9", "solution": "so \\boxed{8}"},
    "ii-thought": {
        "messages": [{"role": "user", "content": "a?"}],
        "verification_info": json.dumps({"answer": {"value": "9", "type": "math"}}),
    },
    "fastcurl": {"prompt": [{"role": "user", "content": "a?"}], "reward_model": {"ground_truth": "9"}},
    "open-s1": {"problem": "a?", "solution": "thus $\\boxed{9}$"},
    "open-rs": {"problem": "a?", "solution": "thus 8", "answer": "$9$", "level": "Hard"},
    "limr": {"prompt": "a?", "answer": "9"},
    "limr-train": {
        "context": "a?",
        "context_messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "a?"}],
        "answer": "9",
    },
    "open-r1": {"problem": "a?", "solution": "so 8", "answer": "9", "messages": [{"role": "user", "content": "b?"}]},
    "open-thoughts": {"problem": "a?", "solution": "\\boxed{9}", "conversations": [{"from": "human", "value": "b?"}]},
}
"""A row as each of the paper's data sets has it: its columns are those that the paper's code reads (commit c6274cd)."""


@pytest.mark.parametrize("name", PAPER)
def test_the_papers_data_sets_by_their_own_columns(folder: Path, name: str) -> None:
    assert pairs(load(write(folder / "x.jsonl", PAPER[name]))) == [("a?", "9")]


def test_sharegpt_chats(folder: Path) -> None:
    talk = [{"from": "system", "value": "s"}, {"from": "human", "value": "a?"}, {"from": "gpt", "value": "b"}]
    (problem,) = load(write(folder / "x.jsonl", {"conversations": talk, "answer": "9"}))
    assert (problem.question, problem.turns) == ("a?", ({"role": "system", "content": "s"},))


gym = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::SyntaxWarning", "ignore::FutureWarning")


@gym
def test_a_mixture_of_tasks_by_weight() -> None:
    pytest.importorskip("reasoning_gym")
    params = {"size": 400, "chain_sum": {"max_terms": 2}}
    problems = load("reasoning_gym:chain_sum=3,gcd", params=params, seed=5)
    tasks = [problem.columns["task"] for problem in problems]
    assert len(problems) == 400
    assert 260 <= tasks.count("chain_sum") <= 340
    assert all(problem.columns["metadata"]["num_terms"] == 2 for problem, task in zip(problems, tasks) if task != "gcd")
    again = load("reasoning_gym:chain_sum=3,gcd", params=params, seed=5, limit=40)
    assert pairs(again) == pairs(problems[:40])
    assert again[31] == problems[31]


@gym
@pytest.mark.parametrize(
    ("source", "params", "message"),
    [
        ("chain_sum=0,gcd", {}, "the weight of chain_sum is '0'; give a number above 0"),
        ("chain_sum=much,gcd", {}, "the weight of chain_sum is 'much'"),
        ("chain_sum,gdc", {}, r"no task 'gdc'; did you mean gcd\?"),
        (
            "chain_sum,gcd",
            {"max_terms": 3},
            r"no parameter 'max_terms' .*\(allowed: size, chain_sum, gcd\)|no parameter",
        ),
        ("chain_sum,gcd", {"gcd": {"max": 3}}, "reasoning_gym:gcd has no parameter 'max'"),
        ("chain_sum,gcd", {"gcd": 3}, r"data\.params\.gcd: got 3; needs the parameters of that task"),
    ],
)
def test_bad_mixtures(source: str, params: dict[str, object], message: str) -> None:
    pytest.importorskip("reasoning_gym")
    with pytest.raises(BadInput, match=message):
        load(f"reasoning_gym:{source}", params=params)


def test_a_stream_gives_no_more_rows_than_are_needed() -> None:
    from tina_lite.data.examples import Selection
    from tina_lite.data.files import Stream, load_rows
    from tina_lite.recipe.schema import DataSection

    given: list[int] = []

    def rows():
        for n in range(1000):
            given.append(n)
            yield {"question": f"{n}?", "answer": str(n) if n % 2 else ""}

    problems = load_rows(Stream(rows()), "odd", "them/odd", Selection(DataSection(source="them/odd", limit=80)))
    assert pairs(problems)[-1] == ("159?", "159")
    assert problems[0].question == "1?"
    assert len(given) == 160
