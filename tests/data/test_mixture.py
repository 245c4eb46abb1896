"""Several sources as one training set."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tina_lite import Recipe, load_recipe
from tina_lite.data.sources import held_out_of, problems_of
from tina_lite.recipe import with_local_paths
from tina_lite.util.errors import BadInput


def write(path: Path, rows: list[tuple[str, str]]) -> Path:
    path.write_text("".join(json.dumps({"question": q, "answer": a}) + "\n" for q, a in rows))
    return path


def sums(name: str, count: int) -> list[tuple[str, str]]:
    return [(f"What is {n} and {n} in {name}?", str(2 * n)) for n in range(count)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "few.jsonl", sums("few", 20))
    write(tmp_path / "many.jsonl", [*sums("many", 60), ("", "5"), sums("few", 20)[3], sums("many", 1)[0]])
    return tmp_path


def recipe_of(folder: Path, mixture: list[dict[str, Any]], **data: Any) -> Recipe:
    text = json.dumps({"name": "x", "data": {"mixture": mixture, **data}, "eval": {"benchmarks": ["held_out"]}})
    (folder / "x.yaml").write_text(text)
    return load_recipe(folder / "x.yaml")


def share(train: Any, word: str) -> float:
    return sum(word in problem.question for problem in train) / len(train)


@given(weights=st.tuples(st.floats(0.05, 20), st.floats(0.05, 20)))
@settings(max_examples=20)  # each reads files and makes a problem set
def test_each_source_has_its_share_and_every_problem_is_asked(
    tmp_path_factory: pytest.TempPathFactory, weights: tuple[float, float]
) -> None:
    folder = tmp_path_factory.mktemp("mixture")
    write(folder / "few.jsonl", sums("few", 20))
    write(folder / "many.jsonl", sums("many", 60))
    parts = [{"source": f"{name}.jsonl", "weight": weight} for name, weight in zip(("few", "many"), weights)]
    found = problems_of(recipe_of(folder, parts))
    few = weights[0] / sum(weights)
    assert share(found.train, "few") == pytest.approx(few, abs=1 / len(found.train))
    asked = Counter(problem.question for problem in found.train)
    assert len(asked) == len(found.train) - found.repeats == 80 - len(found.benchmarks["held_out"])
    for word in ("few", "many"):  # none is asked twice more often than another of its source
        times = [n for question, n in asked.items() if word in question]
        assert max(times) - min(times) <= 1
    assert len({problem.index for problem in found.train}) == len(found.train), "two draws of one problem are alike"


def test_rows_are_numbered_through_and_what_stands_in_two_sources_is_asked_once(folder: Path) -> None:
    found = problems_of(recipe_of(folder, [{"source": "few.jsonl"}, {"source": "many.jsonl"}]))
    assert {reason: list(rows) for reason, rows in found.train.skipped_rows.items()} == {
        "the same question as in another source": [20 + 61],
        "no question": [20 + 60],
        "the same question and answer as an earlier row": [20 + 62],
    }
    by_index = {problem.index: problem.question for problem in found.train if problem.index < 83}
    assert all(
        question == (sums("few", 20)[row] if row < 20 else sums("many", 60)[row - 20])[0]
        for row, question in by_index.items()
    )


def test_a_benchmarks_problem_is_trained_on_in_no_copy(folder: Path) -> None:
    write(folder / "test.jsonl", sums("few", 2))
    recipe = recipe_of(folder, [{"source": "few.jsonl", "weight": 9}, {"source": "many.jsonl"}])
    recipe = recipe.model_copy(
        update={"eval": recipe.eval.model_copy(update={"benchmarks": (str(folder / "test.jsonl"),)})}
    )
    found = problems_of(recipe)
    questions = {problem.question for problem in found.train}
    assert not questions & {question for question, _ in sums("few", 2)}
    assert found.repeats > 0


def test_all_kinds_are_mixed_and_each_keeps_its_columns(folder: Path) -> None:
    (folder / "other.csv").write_text("q,a\nWhat is 2+3?,5\nWhat is 2+4?,6\nWhat is 2+5?,7\n")
    (folder / "mine.py").write_text("def rows(n):\n    return [{'question': f'{k}?', 'answer': k} for k in range(n)]\n")
    parts = [
        {"source": "other.csv", "prompt": "q", "answer": "a"},
        {"source": "arithmetic", "limit": 30},
        {"source": "mine.py:rows", "params": {"n": 5}},
    ]
    recipe = with_local_paths(recipe_of(folder, parts, held_out=0.2))
    train, held = problems_of(recipe).train, held_out_of(recipe)
    assert train.name == "other+arithmetic+rows"
    assert len({problem.question for problem in train}) + len(held) == 38
    assert [len(train), train.digest()] == [len(again := problems_of(recipe).train), again.digest()]


def test_a_mixture_takes_the_place_of_the_source_that_is_extended_and_the_other_way_round(folder: Path) -> None:
    mixed = recipe_of(folder, [{"source": "few.jsonl"}])
    assert mixed.data.named == "few.jsonl"
    (folder / "plain.yaml").write_text("extends: x.yaml\ndata: {source: many.jsonl, limit: 3}\n")
    assert (data := load_recipe(folder / "plain.yaml").data).named == "many.jsonl"
    assert data.mixture == ()
    (folder / "again.yaml").write_text("extends: plain.yaml\ndata: {mixture: [{source: few.jsonl}]}\n")
    assert (data := load_recipe(folder / "again.yaml").data).named == "few.jsonl"
    assert data.limit is None


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"source": "arithmetic", "mixture": [{"source": "arithmetic"}]}, "give either source or mixture"),
        ({}, "give either source or mixture"),
        ({"mixture": [{"source": "arithmetic"}], "limit": 5}, "limit is of one source; write it into the parts"),
        ({"mixture": [{"source": "arithmetic", "weight": 0}]}, "data.mixture.0.weight: got 0, must be greater than 0"),
        ({"mixture": [{"weight": 2}]}, "data.mixture.0.source: is missing"),
        ({"mixture": [{"source": "a", "wieght": 2}]}, "data.mixture.0.wieght: unknown field; did you mean weight"),
    ],
)
def test_what_is_no_mixture_is_one_line(tmp_path: Path, data: dict[str, Any], said: str) -> None:
    (tmp_path / "x.yaml").write_text(json.dumps({"name": "x", "data": data}))
    with pytest.raises(BadInput) as error:
        load_recipe(tmp_path / "x.yaml")
    assert said in str(error.value)
    assert "\n" not in str(error.value)
