"""Problems from each kind of source, and bad input in one line."""

from pathlib import Path

import pytest
from from_outside import imported_by
from problem_files import pairs, write
from sections import load

from tina_lite.data.tasks import arithmetic
from tina_lite.util.errors import BadInput

DATA = Path(__file__).parents[3] / "shared" / "data"
SIZES = {"gsm8k-train": 7473, "gsm8k-test": 1319, "limr-train": 1389, "math500": 500, "amc23": 40, "aime24": 30}


def test_arithmetic() -> None:
    problems = load("arithmetic", seed=3, params={"size": 10})
    assert list(problems) == [arithmetic(3, "train", index) for index in range(10)]
    assert [problem.index for problem in problems] == list(range(10))
    assert (len(load("arithmetic")), len(load("arithmetic", split="test"))) == (100_000, 2_000)
    assert len(load("arithmetic", limit=7)) == 7


@pytest.mark.parametrize("question", ["prompt", "problem", "question"])
@pytest.mark.parametrize("answer", ["answer", "solution", "final_answer", "ground_truth"])
def test_columns_by_their_usual_names(folder: Path, question: str, answer: str) -> None:
    source = write(folder / "x.jsonl", {"id": 5, question: "1+1?", answer: "2"})
    problems = load(source)
    assert pairs(problems) == [("1+1?", "2")]
    assert problems.name == "x"
    assert problems[0].columns["id"] == 5
    assert question not in problems[0].columns


def test_named_columns_win(folder: Path) -> None:
    source = write(folder / "x.jsonl", {"question": "no", "ask": "yes?", "answer": "0", "gold": {"value": "7"}})
    problems = load(source, prompt="ask", answer="gold.value")
    assert pairs(problems) == [("yes?", "7")]
    assert problems[0].columns == {"question": "no", "gold": {"value": "7"}}


@pytest.mark.parametrize(
    ("raw", "gold"),
    [
        ("48/2 = 24\n#### 72", "72"),
        ("thus $x = \\boxed{\\frac{1}{2}}$.", "\\frac{1}{2}"),
        ("\\boxed{1} or rather \\boxed{\\{2, 3\\}}", "\\{2, 3\\}"),
        ("$\\pi$", "\\pi"),
        (27.0, "27"),
        (2.5, "2.5"),
        (7, "7"),
        (["5"], "5"),
    ],
)
def test_the_gold_in_an_answer(folder: Path, raw: object, gold: str) -> None:
    assert load(write(folder / "x.jsonl", {"problem": "?", "solution": raw}))[0].answer == gold


def test_chats(folder: Path) -> None:
    chat = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "a?"},
        {"role": "assistant", "content": "b"},
    ]
    verl = {"prompt": [*chat, {"role": "user", "content": "c?"}], "reward_model": {"ground_truth": "9"}}
    assert pairs(load(write(folder / "verl.jsonl", verl))) == [("c?", "9")]
    assert pairs(load(write(folder / "other.jsonl", {"talk": chat, "answer": "9"}))) == [("a?", "9")]


def test_rows_that_cannot_be_used_are_counted(folder: Path) -> None:
    rows = [{"question": "a?", "answer": "1"}, {"question": "b?"}, {"question": "c?", "answer": None}]
    rows += [{"question": "", "answer": "1"}, {"answer": "1"}, {"question": "d?", "answer": "\\frac{1"}]
    rows += [{"question": "e?", "answer": " "}, {"question": "f?", "answer": []}, {"question": "g?", "answer": "2"}]
    problems = load(write(folder / "x.jsonl", *rows))
    assert problems.skipped == {"no answer": 4, "no question": 2, "gold does not parse": 1}
    assert [problem.index for problem in problems] == [0, 8]
    assert pairs(problems) == [("a?", "1"), ("g?", "2")]
    assert pairs(problems[1:]) == [("g?", "2")]
    assert problems[-1].question == "g?"


def test_limit_counts_usable_rows(folder: Path) -> None:
    rows = [{"question": "a?"}, {"question": "b?", "answer": "1"}, {"question": "c?", "answer": "2"}]
    assert pairs(load(write(folder / "x.jsonl", *rows), limit=1)) == [("b?", "1")]


def test_a_file_as_other_programs_write_it(folder: Path) -> None:
    text = '\ufeff{"question": "ä?", "answer": "1"}\r\n\r\n   \n{"question": "\\ud800b?", "answer": "2"}'
    (folder / "x.jsonl").write_bytes(text.encode())
    assert pairs(load("x.jsonl")) == [("ä?", "1"), ("?b?", "2")]


def test_a_json_list(folder: Path) -> None:
    (folder / "x.json").write_text('[{"question": "a?", "answer": 1},\n {"question": "b?", "answer": 2}]')
    assert pairs(load("x.json")) == [("a?", "1"), ("b?", "2")]


def test_a_file_beside_the_recipe(folder: Path) -> None:
    (folder / "recipes").mkdir()
    write(folder / "recipes" / "x.jsonl", {"question": "a?", "answer": "1"})
    assert len(load("x.jsonl", base_folder=folder / "recipes")) == 1
    assert len(load(str(folder / "recipes" / "x.jsonl"))) == 1
    with pytest.raises(BadInput, match=r"data\.source: no file x\.jsonl in "):
        load("x.jsonl")


@pytest.mark.parametrize("name", SIZES)
def test_real_data(name: str) -> None:
    if not (DATA / f"{name}.jsonl").exists():
        pytest.skip(f"needs the data set {name}")
    problems = load(str(DATA / f"{name}.jsonl"))
    assert (len(problems), problems.skipped) == (SIZES[name], {})
    assert all(problem.question and problem.answer for problem in problems[:20])


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("arithmetc", {}, r"unknown source 'arithmetc'; did you mean arithmetic\?"),
        ("reasoning_gim:chain_sum", {}, r"did you mean reasoning_gym\?"),
        ("a/b/c", {}, r"unknown source 'a/b/c' \(known: arithmetic"),
        ("", {}, r"unknown source ''"),
        ("arithmetic", {"split": "tset"}, r"no split 'tset'; did you mean test\?"),
        ("arithmetic", {"params": {"sise": 3}}, r"no parameter 'sise'; did you mean size\?"),
        ("arithmetic", {"params": {"size": 0}}, r"cannot have 0 problems"),
        ("arithmetic", {"answer": "gold"}, r"data\.answer: arithmetic makes its own problems"),
    ],
)
def test_bad_sources(source: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        load(source, **options)


def test_a_file_that_changes_under_the_run(folder: Path) -> None:
    problems = load(write(folder / "x.jsonl", {"question": "a?", "answer": "1"}))
    (folder / "x.jsonl").write_text("{")
    with pytest.raises(BadInput, match="did the file change"):
        problems[0]


def test_nothing_heavy_is_imported() -> None:
    program = "import tina_lite.data as p; p.load_problems(p.DataSection(source='arithmetic'))[0]"
    assert imported_by(program, "torch", "datasets", "transformers", "reasoning_gym", "sympy") == []
