"""Selection by difficulty: what is solved half of the time is asked, what is known is kept, bad columns are refused."""

import json
from collections import Counter
from random import Random

import pytest
from character_tokenizer import CharacterTokenizer
from hypothesis import given
from hypothesis import strategies as st
from sections import changed
from test_same_run import rows

from tina_lite import load_recipe, run
from tina_lite.data import DataSection, ProblemSet, PromptSource
from tina_lite.train.selection import DECAY, PRIOR, Selector, refuse_columns
from tina_lite.util.errors import BadInput
from tina_lite.util.records import Completion, Group, Problem, ScoredGroup

LEVELS = 5
SOLVED = (0.0, 0.1, 0.5, 0.9, 1.0)
"""Of each level."""


def problem(index):
    return Problem(index, f"What is {index}?", "1", {"level": index % LEVELS, "info": {"rate": SOLVED[index % LEVELS]}})


def selector(size=400, seed=1, **data):
    problems = ProblemSet("made up", problem, range(size), {})
    source = PromptSource(problems, CharacterTokenizer(), max_prompt_length=99, system_prompt=None, seed=seed)
    return Selector(source, changed(DataSection.model_construct(source="made up"), data), "accuracy", seed)


def scored(prompt, values):
    group = Group(prompt, tuple(Completion((1,), (0.0,), "", "stop") for _ in values))
    return ScoredGroup(group, {"accuracy": tuple(values)}, tuple(value or 0.0 for value in values))


def one_step(chosen, n=8, draw=None):
    """Ask, and answer as well as problems of that level are."""
    draw = draw or Random(chosen.source.position)
    prompts = chosen.next(n)
    found = [
        scored(prompt, [float(draw.random() < SOLVED[prompt.problem.index % LEVELS]) for _ in range(8)])
        for prompt in prompts
    ]
    return prompts, chosen.learn(found)


def levels(steps, chosen):
    return Counter(prompt.problem.index % LEVELS for _ in range(steps) for prompt in one_step(chosen)[0])


def test_what_is_solved_half_of_the_time_is_asked_most():
    chosen = selector(difficulty_key=("level",))
    levels(10, chosen)
    found = levels(50, chosen)
    assert found[2] > 0.5 * found.total()
    assert min(found[level] for level in range(LEVELS)) > 0, "some are chosen blindly"


def test_a_column_with_solve_rates_is_believed_before_anything_was_tried():
    found = Counter()
    for seed in range(20):
        found += Counter(
            prompt.problem.index % LEVELS for prompt in selector(seed=seed, difficulty="info.rate").next(8)
        )
    assert found[2] > 1.5 * max(found[0], found[4])


def test_without_a_column_each_problem_is_tried_and_then_known():
    chosen = selector(size=40)
    levels(80, chosen)
    assert levels(20, chosen)[2] > 0.4 * 20 * 8


def test_evidence_is_decayed_at_each_visit():
    chosen = selector(difficulty_key=("level",))
    first, again = scored(chosen.next(1)[0], [1.0, 0.0, 0.5, None]), None
    chosen.learn([first])
    (kind,) = chosen.kept.completions
    assert chosen.kept.completions[kind] == (1.5, 1.5)
    again = scored(first.group.prompt, [1.0, 1.0])
    assert chosen.learn([again])["selection/error"] == pytest.approx(0.5)
    assert chosen.kept.completions[kind] == (DECAY * 1.5 + 2, DECAY * 1.5)


def test_a_solve_rate_counts_as_three_completions():
    chosen = selector(difficulty="info.rate")
    (prompt,) = chosen.next(1)
    rate = SOLVED[prompt.problem.index % LEVELS]
    found = chosen.learn([scored(prompt, [1.0])])
    assert found["selection/error"] == pytest.approx(1 - (1 + PRIOR * rate) / (2 + PRIOR))


@given(st.integers(1, 30), st.integers(1, 12), st.integers(0, 50))
def test_so_many_are_given_as_are_asked_for_in_the_order_of_the_source(size, n, steps_before):
    chosen = selector(size=size)
    chosen.source.position = steps_before
    prompts = chosen.next(n)
    assert len(prompts) == n
    places = [(prompt.epoch, prompt.problem.index) for prompt in prompts]
    assert len(set(places)) == n
    assert [epoch for epoch, _ in places] == sorted(epoch for epoch, _ in places)


def test_what_is_kept_and_the_position_are_all_of_its_state():
    first = selector(difficulty_key=("level",))
    levels(5, first)
    second = selector(difficulty_key=("level",))
    second.kept.load_state(json.loads(json.dumps(first.kept.state())))
    second.source.position = first.source.position
    assert [one_step(first) for _ in range(3)] == [one_step(second) for _ in range(3)]


def test_it_counts_distinct_problems():
    chosen = selector(size=10)
    counts = [one_step(chosen, 4)[1]["selection/distinct"] for _ in range(12)]
    assert counts[0] == 4
    assert counts == sorted(counts)
    assert counts[-1] <= 10


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"difficulty": "rate"}, "no column 'rate'.*columns: level, info"),
        ({"difficulty_key": ("levle",)}, "no column 'levle'.*level"),
        ({"difficulty": "index"}, "row 2 has 2; it needs the share"),
    ],
)
def test_columns_that_cannot_be_meant_are_refused(data, said):
    held = ProblemSet("x", lambda n: Problem(n, "?", "1", {**problem(n).columns, "index": n}), range(5), {})
    if "index" not in str(data):
        held = ProblemSet("x", problem, range(5), {})
    with pytest.raises(BadInput, match=said):
        refuse_columns(changed(DataSection.model_construct(), data), held)


def test_a_recipe_that_names_columns_and_asks_for_no_selection_is_refused(quick_recipe):
    with pytest.raises(BadInput, match=r"data.difficulty_key: does nothing without rollout.selection"):
        load_recipe(quick_recipe, {"data.difficulty_key": ["terms"]})


def test_a_run_by_a_reward_that_is_not_accuracy(quick_recipe, tmp_path):
    rows(tmp_path / "few.jsonl", 6)
    changes = {
        "data": {"source": str(tmp_path / "few.jsonl")},
        "rewards": ["format"],
        "rollout.selection": "difficulty",
        "stop.max_steps": 2,
    }
    told = []
    run(load_recipe(quick_recipe, changes), out=tmp_path / "out", listeners=[lambda one: told.append(one.event)])
    steps = [event.metrics for event in told if event.event == "step"]
    assert all(0 <= metrics["selection/error"] <= 1 for metrics in steps)
    assert steps[-1]["selection/distinct"] <= 6
