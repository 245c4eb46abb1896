"""From a recipe's data section to training set, benchmarks and prompts, and what is said of them before a run."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from character_tokenizer import CharacterTokenizer
from hypothesis import given
from hypothesis import strategies as st

from tina_lite.data import Unreachable
from tina_lite.data.contamination import GRAM, STRIDE, Overlap, runs
from tina_lite.data.files import ROWS_TO_TELL
from tina_lite.data.sources import problems_of, prompts_of
from tina_lite.data.stats import solution_of, survey
from tina_lite.recipe import Recipe, load_recipe, with_local_paths
from tina_lite.util.errors import BadInput
from tina_lite.util.records import Problem

LONG = "Ann has {} pears and gives Ben half of them, then buys as many as Ben has now; how many pears has she?"


@pytest.fixture
def recipe(tmp_path: Path) -> Callable[..., Recipe]:
    """A recipe on 40 rows, of which rows 3 and 7 have no answer."""
    rows = [{"question": f"What is {n}+1?", "answer": "" if n in (3, 7) else n + 1, "level": n % 5} for n in range(40)]
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "x.yaml").write_text("data: {source: mine.jsonl}\n")

    def load(**overrides: Any) -> Recipe:
        return with_local_paths(load_recipe(tmp_path / "x.yaml", overrides))

    return load


@pytest.mark.parametrize("name", ["long.jsonl", "long.json", "long.csv", "long.parquet", "folder"])
def test_who_waits_is_told_how_much_was_read(tmp_path, monkeypatch, name) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    rows = [{"question": f"What is {10_000 + n}+1?", "answer": str(10_001 + n)} for n in range(2 * ROWS_TO_TELL)]
    table = datasets.Dataset.from_list(rows)
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "1.jsonl").write_text(lines)
    (tmp_path / "folder" / "2.jsonl").write_text(lines.replace("What is", "Say"))
    (tmp_path / "long.jsonl").write_text(lines)
    (tmp_path / "long.json").write_text(json.dumps(rows))
    table.to_csv(tmp_path / "long.csv", index=False)
    table.to_parquet(tmp_path / "long.parquet")
    told: list[float] = []
    (tmp_path / "x.yaml").write_text(f"data: {{source: {name}}}\n")
    problems_of(with_local_paths(load_recipe(tmp_path / "x.yaml")), progress=told.append)
    assert told == pytest.approx([0.0, 0.25, 0.5, 0.75] if name == "folder" else [0.0, 0.5], abs=0.01)


def test_where_and_limit_and_held_out(recipe) -> None:
    chosen = {"data.where": "level >= 3", "data.limit": 10, "data.held_out": 0.3, "eval.benchmarks": ["held_out"]}
    train, benchmarks, warnings, _ = problems_of(recipe(**chosen))
    everything = [*train, *benchmarks["held_out"]]
    assert len(everything) == 10
    assert all(problem.columns["level"] >= 3 for problem in everything)
    assert train.skipped == {"not chosen by where": 18, "no answer": 1}
    assert warnings == ()


def test_a_length_is_asked_for_and_told_to_the_rewards(recipe) -> None:
    settings = {"data.target_length": [100, 4000], "eval.benchmarks": ["held_out"], "data.held_out": 0.2}
    train, benchmarks, *_ = problems_of(recipe(**settings))
    plain, same, *_ = problems_of(recipe(**{**settings, "data.target_length": None}))
    lengths = [problem.columns["target_length"] for problem in train]
    assert len(set(lengths)) > 20
    assert all(100 <= length <= 4000 for length in lengths)
    for problem, asked, length in zip(plain, train, lengths, strict=True):
        assert asked.question == f"{problem.question}\n\nThink for {length} tokens."
    assert list(benchmarks["held_out"]) == list(same["held_out"])
    assert list(problems_of(recipe(**settings)).train) == list(train)
    other = problems_of(recipe(**settings, seed=7)).train
    assert [problem.columns["target_length"] for problem in other] != lengths


def test_a_benchmarks_problem_in_the_training_set_is_named(recipe, tmp_path) -> None:
    trained = [LONG.format(n) for n in range(5)] + ["Short one?", "Another?"]
    benchmark = [
        LONG.format(3),
        "short ONE",
        "Not there at all, and long enough to have a run of thirteen words in it?",
    ]
    for name, questions in (("mine", trained), ("test", benchmark)):
        rows = (json.dumps({"question": question, "answer": "1"}) + "\n" for question in questions)
        (tmp_path / f"{name}.jsonl").write_text("".join(rows))
    train, benchmarks, warnings, _ = problems_of(recipe(**{"eval.benchmarks": ["./test.jsonl"]}))
    assert [len(problems) for problems in benchmarks.values()] == [3]
    assert LONG.format(3) not in [problem.question for problem in train]
    assert len(train) == 6
    # All five differ from the benchmark's in one number at their beginning, and one in none.
    assert warnings == (
        "1 of 7 problems of mine are a benchmark's too, and are not trained on",
        "test is evaluated, and 5 of the problems to train on repeat one of its (13-gram overlap): rows 0, 1, 2, 4, 5",
    )


def test_a_training_set_that_is_the_benchmark_is_refused(recipe, tmp_path) -> None:
    for name in ("mine", "test"):
        rows = (json.dumps({"question": f"What is {n}+1?", "answer": str(n + 1)}) + "\n" for n in range(12))
        (tmp_path / f"{name}.jsonl").write_text("".join(rows))
    with pytest.raises(BadInput, match="all 12 problems of mine are problems of test too"):
        problems_of(recipe(**{"eval.benchmarks": ["./test.jsonl"]}))


def test_two_benchmarks_of_a_name_are_refused(recipe, tmp_path) -> None:
    (tmp_path / "other").mkdir()
    for name in ("mine", "test", "other/test"):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"question": f"{name}: 1+1?", "answer": "2"}) + "\n")
    with pytest.raises(BadInput, match=r"^eval\.benchmarks: two are called test, as a file is by its name; rename one"):
        problems_of(recipe(**{"eval.benchmarks": ["./test.jsonl", "./other/test.jsonl"]}))


def test_sums_that_differ_in_their_signs_are_other_problems(recipe, tmp_path) -> None:
    for name, sign in (("mine", "+"), ("test", "-")):
        rows = (json.dumps({"question": f"What is {n}{sign}1?", "answer": "1"}) + "\n" for n in range(12))
        (tmp_path / f"{name}.jsonl").write_text("".join(rows))
    assert len(problems_of(recipe(**{"eval.benchmarks": ["./test.jsonl"]})).train) == 12


def test_the_test_split_of_sums_is_not_trained_on_and_held_out_too(quick_recipe) -> None:
    loaded = load_recipe(quick_recipe, {"data.split": "test", "eval.benchmarks": ["held_out"]})
    train, benchmarks, *_ = problems_of(loaded)
    assert not set(train.keys()) & set(benchmarks["held_out"].keys())
    assert len(train) > 1000


WORDS = st.lists(st.sampled_from(["a", "b", "c", "d", "e"]), min_size=GRAM, max_size=40)


@given(WORDS, WORDS)
def test_every_shared_run_is_hinted_at(left: list[str], right: list[str]) -> None:
    if set(runs(left, GRAM)) & set(runs(right, GRAM)):
        assert set(runs(left, STRIDE)) & set(runs(right, STRIDE, STRIDE))


@given(WORDS, WORDS, WORDS)
def test_a_whole_problem_is_found_wherever_it_stands(before: list[str], problem: list[str], after: list[str]) -> None:
    overlap = Overlap({"test": [" ".join(problem)]})
    overlap.see(4, ", ".join([*before, *problem, *after]).upper())
    assert len(overlap.warnings()) == 1


def test_common_phrases_are_no_overlap() -> None:
    phrase = "can be written as m/n where m and n are relatively prime positive integers; find m + n"
    benchmark = f"A frog jumps along a line of ten stones, each jump being one or two stones long; the chance {phrase}"
    overlap = Overlap({"test": [benchmark]})
    overlap.see(0, f"Four cards are drawn without looking from a deck of fifty-two; the chance of a pair {phrase}")
    assert overlap.warnings() == []
    overlap.see(1, benchmark.replace(";", ","))
    assert len(overlap.warnings()) == 1
    assert overlap.same_rows == set()
    overlap.see(2, f" {benchmark.upper()}")
    assert overlap.same_rows == {2}


def test_a_hub_out_of_reach_may_be_left_out(recipe) -> None:
    far = recipe(**{"data.source": "nobody/nothing"})
    with pytest.raises(Unreachable, match="could not load the data set 'nobody/nothing', split 'train'"):
        problems_of(far)
    train, benchmarks, warnings, _ = problems_of(far, without_data=True)
    assert (len(train), train.name, benchmarks) == (0, "nobody/nothing", {})
    assert "no network" in warnings[0]


def test_a_survey_counts_all_rows(recipe) -> None:
    settings = {"rollout.max_prompt_length": 37, "eval.benchmarks": ["held_out"], "data.held_out": 0.2}
    loaded = recipe(**settings)
    found = survey(loaded, problems_of(loaded), CharacterTokenizer(), head=2)
    long = found.skipped["prompt too long"]  # "What is 10+1?" and on are one character longer
    assert found.rows == 40 == found.train + found.held_out + 2 + len(long)
    assert list(found.skipped["no answer"]) == [3, 7]
    assert min(long) >= 10
    assert found.lengths.as_dict()["max"] == 38
    source = prompts_of(loaded, problems_of(loaded).train, CharacterTokenizer())
    assert list(found.prompts) == source.next(2)
    assert all(len(prompt.ids) == 37 for prompt in found.prompts)


def test_a_survey_that_measures_a_sample_says_so(recipe, monkeypatch) -> None:
    monkeypatch.setattr("tina_lite.data.stats.MOST_MEASURED", 10)
    loaded = recipe(**{"rollout.max_prompt_length": 37})
    found = survey(loaded, problems_of(loaded), CharacterTokenizer(), head=0)
    assert len(found.skipped["prompt too long, of the 10 that were measured"]) == 8


def test_a_survey_without_a_tokenizer(recipe) -> None:
    found = survey(recipe(), problems_of(recipe()), None, head=2)
    assert (found.rows, found.train, found.lengths, found.prompts) == (40, 38, None, ())
    assert [problem.question for problem in found.problems] == ["What is 0+1?", "What is 1+1?"]
    json.dumps(found.as_dict())


@pytest.mark.parametrize(
    ("columns", "solution"),
    [
        ({"solution": "We add 1 and 2, so 3.", "generations": ["so it goes on and on"]}, "We add 1 and 2, so 3."),
        ({"solution": "3", "generations": ["We add one and two.", "other"]}, "We add one and two."),
        ({"solution": "3", "generations": []}, ""),
        ({"solution": None, "rationale": "We add one and two."}, "We add one and two."),
        ({"level": 3}, ""),
    ],
)
def test_the_worked_solution_of_a_row(columns, solution) -> None:
    assert solution_of(Problem(0, "1+2?", "3", columns)) == solution


def test_solutions_are_measured_where_the_data_has_them(tmp_path) -> None:
    rows = [{"question": f"{n}?", "answer": "one two three four" + " x" * n + f"\n#### {n}"} for n in range(9)]
    (tmp_path / "gsm.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "x.yaml").write_text("data: {source: gsm.jsonl}\n")
    loaded = with_local_paths(load_recipe(tmp_path / "x.yaml"))
    found = survey(loaded, problems_of(loaded), CharacterTokenizer(), head=0)
    assert found.solutions is not None
    assert found.solutions.as_dict() == {"measured": 9, "p5": 25, "p50": 33, "p95": 41, "p99": 41, "max": 41}
    assert survey(loaded, problems_of(loaded), None, head=0).solutions is None
