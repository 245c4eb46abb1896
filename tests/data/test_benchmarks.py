"""Benchmarks by name: how they are asked, a local copy in the place of the hub, GPQA's options."""

import json

import pytest

from tina_lite.data.benchmarks import BOXED, KNOWN, LETTERS, form_of, load_benchmark
from tina_lite.util.errors import BadInput


def write(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_a_file_of_a_benchmarks_name_is_that_benchmark(tmp_path):
    row = {"problem": "How many?", "answer": 27.0, "solution": "long"}
    known = load_benchmark(write(tmp_path / "amc23.jsonl", row))
    assert (known.name, form_of(known.name)) == ("amc23", "math")
    assert (known.problems[0].question, known.problems[0].answer) == (f"How many?\n\n{BOXED}", "27")


def test_a_file_of_any_name_is_the_benchmark_that_it_is_said_to_be(tmp_path):
    path = write(tmp_path / "mine.jsonl", {"problem": "How many?", "answer": 27.0})
    known = load_benchmark(f"math500={path}")
    assert (known.name, known.problems[0].question) == ("math500", f"How many?\n\n{BOXED}")
    with pytest.raises(BadInput, match=r"none\.jsonl"):
        load_benchmark(f"math500={tmp_path / 'none.jsonl'}")
    with pytest.raises(BadInput, match=r"^math500=: there is no file"):
        load_benchmark("math500=")


def test_out_of_the_hubs_reach_the_line_says_which_file_to_give(monkeypatch):
    monkeypatch.setattr("tina_lite.data.files.unreachable", lambda ask: True)
    with pytest.raises(BadInput, match=r"^math500: could not load .*; to use a copy of it: math500=FILE\.jsonl$"):
        load_benchmark("math500")


def test_any_other_file_is_asked_as_it_stands(tmp_path):
    other = load_benchmark(write(tmp_path / "mine.jsonl", {"question": "1+1?", "answer": "2"}))
    assert (other.name, other.problems[0].question) == ("mine", "1+1?")


def gpqa(tmp_path, count=40):
    rows = [
        {
            "Question": f"Which of them is number {number}?",
            "Correct Answer": f"right {number}\n",
            **{f"Incorrect Answer {wrong}": f"wrong {number}.{wrong}" for wrong in (1, 2, 3)},
        }
        for number in range(count)
    ]
    return write(tmp_path / "gpqa-diamond.jsonl", *rows)


def test_gpqas_answers_become_four_options_in_an_order_that_stays(tmp_path):
    path = gpqa(tmp_path)
    first, again = load_benchmark(path), load_benchmark(path)
    assert form_of(first.name) == "choice"
    for number, problem in enumerate(first.problems):
        assert f"\n{problem.answer}) right {number}\n" in problem.question
        assert all(f") wrong {number}.{wrong}\n" in problem.question for wrong in (1, 2, 3))
        assert again.problems[number] == problem
    assert {problem.answer for problem in first.problems} == set(LETTERS), "the right answer stands anywhere"


def test_a_copy_without_gpqas_columns_is_refused(tmp_path):
    path = write(tmp_path / "gpqa-diamond.jsonl", {"Question": "?", "Correct Answer": "1"})
    with pytest.raises(BadInput, match="no column 'Incorrect Answer 1'"):
        load_benchmark(path).problems[0]


def test_the_papers_six_are_known_with_their_sizes():
    from tina_lite.eval.tables import PAPER_BENCHMARKS

    assert set(PAPER_BENCHMARKS) < set(KNOWN)
    assert [KNOWN[name].problems for name in PAPER_BENCHMARKS] == [30, 30, 40, 500, 198, 272]


def test_held_out_and_reasoning_gym():
    assert len(load_benchmark("reasoning_gym:chain_sum", limit=3).problems) == 3
