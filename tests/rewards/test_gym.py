"""Every task of reasoning-gym: answers are worth what the task's own verifier says, whatever they look like."""

import json
import random
import warnings
from functools import cache
from pathlib import Path

import pytest
from sections import load

from tina_lite.answers.verifier import verifier_of
from tina_lite.rewards.accuracy import readings, reasoning_gym_reward, verdicts
from tina_lite.rewards.call import chat
from tina_lite.util.records import Problem

pytest.importorskip("reasoning_gym")
# Modules of it warn of themselves on import, and one leaves its file open.
KINDS = ("DeprecationWarning", "SyntaxWarning", "FutureWarning", "pytest.PytestUnraisableExceptionWarning")
pytestmark = pytest.mark.filterwarnings(*(f"ignore::{kind}" for kind in KINDS))
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from reasoning_gym.factory import DATASETS, create_dataset

HOSTILE = (
    "9**9**9",
    "(" * 10_000,
    "9" * 15_000,
    "\x00",
    "\ud800",
    "[" * 300 + "]" * 300,
    "factorial(10**9)",
    "x" * 10**6,
)
NEEDS_TASKS = {"composite"}
"""It mixes other tasks, which it must be given; a source of several tasks does the same."""
WITHOUT_ANSWER = {"boxnet", "graph_color", "propositional_logic", "rubiks_cube", "rush_hour"}
PROBLEMS = 2
TASKS = sorted(set(DATASETS) - NEEDS_TASKS)


def problems_of(task: str) -> list[Problem]:
    return list(load(f"reasoning_gym:{task}", params={"size": PROBLEMS}, seed=3))


def wrong_answers(problem: Problem, draws: random.Random) -> list[str]:
    """Twelve that a model would try: shuffled, reversed, echoed, empty."""
    gold, question = str(problem.answer) or "abc", problem.question
    letters, words, items = list(gold), gold.split(), gold.split(", ")
    for pile in (letters, words, items):
        draws.shuffle(pile)
    lines = gold.splitlines()
    return [
        "",
        "".join(letters),
        gold[::-1],
        " ".join(words),
        " ".join(reversed(gold.split())),
        ", ".join(items),
        ", ".join(sorted(gold.split(", "))),
        "\n".join(reversed(lines)),
        question.splitlines()[-1],
        question.split()[-1],
        " ".join(part for part in question.replace(",", " ").split() if part.lstrip("-").isdigit())[:200],
        gold[: len(gold) // 2],
    ]


@cache
def made(task: str, params: str):
    return create_dataset(task, **json.loads(params))


def own_score(problem: Problem, text: str) -> float:
    named = problem.verifier
    dataset, entry = made(named["task"], json.dumps(named["params"])), named["entry"]
    scores = []
    for answer in readings(text):
        try:
            scores.append(float(dataset.score_answer(answer, entry)))
        except Exception:  # a verifier's way to refuse
            scores.append(0.0)
    return max(scores)


@pytest.mark.parametrize("task", TASKS)
def test_what_the_own_verifier_says(task: str) -> None:
    draws = random.Random(task)
    rows = [(problem, answer) for problem in problems_of(task) for answer in wrong_answers(problem, draws)]
    rows += [(problem, problem.answer) for problem in problems_of(task)]
    texts = [f"so\n</think>\n{answer}" for _, answer in rows]
    golds, verifiers = [problem.gold for problem, _ in rows], [problem.verifier for problem, _ in rows]
    expected = [own_score(problem, text) for (problem, _), text in zip(rows, texts, strict=True)]
    assert reasoning_gym_reward(chat(*texts), verifiers) == expected
    assert verdicts(texts, golds, verifiers) == [score >= 1 for score in expected]
    if task not in WITHOUT_ANSWER:
        assert expected[-PROBLEMS:] == [1.0] * PROBLEMS
        whole = [one for one in problems_of(task) if one.answer.count("{") == one.answer.count("}")]
        boxes = [rf"so \boxed{{{one.answer}}}" for one in whole]
        asked = [one.answer for one in whole], [one.verifier for one in whole]
        assert verdicts(boxes, *asked) == [True] * len(boxes)


def test_tasks_without_an_answer_are_judged_too() -> None:
    (problem,) = load("reasoning_gym:propositional_logic", params={"size": 1}, seed=1)
    assert problem.answer == ""
    right = problem.columns["metadata"]["example_answer"]
    assert verdicts([rf"\boxed{{{right}}}", r"\boxed{no}"], [problem.gold] * 2, [problem.verifier] * 2) == [True, False]


@pytest.mark.parametrize(
    ("task", "cheat"),
    [
        ("spell_backward", lambda problem: problem.columns["metadata"]["word"]),
        ("word_sorting", lambda problem: ", ".join(problem.columns["metadata"]["original_words"])),
        ("countdown", lambda problem: str(problem.columns["metadata"]["target"])),
    ],
)
def test_the_cheats_that_were_seen_earn_nothing(task: str, cheat) -> None:
    problems = list(load(f"reasoning_gym:{task}", params={"size": 20}, seed=1))
    cheated = [(problem, cheat(problem)) for problem in problems if cheat(problem) != problem.answer]
    assert len(cheated) > 15
    golds, verifiers = [problem.gold for problem, _ in cheated], [problem.verifier for problem, _ in cheated]
    found = verdicts([rf"\boxed{{{answer}}}" for _, answer in cheated], golds, verifiers)
    assert found == [False] * len(cheated)


@pytest.mark.parametrize("task", ["countdown", "spiral_matrix", "n_queens", "simple_integration", "string_insertion"])
def test_what_a_model_writes_is_not_run(task: str, tmp_path: Path) -> None:
    (problem,) = load(f"reasoning_gym:{task}", params={"size": 1}, seed=1)
    mark = tmp_path / "was-here"
    attacks = [
        f"open({str(mark)!r}, 'w')",
        f"__import__('os').system('touch {mark}')",
        f"[open({str(mark)!r}, 'w')]",
        f"().__class__.__base__.__subclasses__() or '{mark}'",
        f"S(\"open('{mark}', 'w')\")",
    ]
    count = len(attacks)
    found = verdicts([f"</think>\n{one}" for one in attacks], [problem.gold] * count, [problem.verifier] * count)
    assert found == [False] * len(attacks)
    assert not mark.exists()


@pytest.mark.parametrize("task", ["countdown", "polynomial_multiplication", "rotate_matrix", "chain_sum"])
def test_hostile_answers_earn_nothing_and_hang_nothing(task: str) -> None:
    (problem,) = load(f"reasoning_gym:{task}", params={"size": 1}, seed=1)
    texts = [f"</think>\n{answer}" for answer in HOSTILE]
    count = len(texts)
    assert verdicts(texts, [problem.gold] * count, [problem.verifier] * count) == [False] * count


def test_entries_that_stand_in_a_file() -> None:
    entry = create_dataset("countdown", seed=4, size=1)[0]
    row = json.loads(json.dumps(entry))
    verifier = verifier_of(row)
    assert verifier is not None
    texts = [rf"\boxed{{{entry['answer']}}}", rf"\boxed{{{entry['metadata']['target']}}}"]
    assert verdicts(texts, [entry["answer"]] * 2, [verifier] * 2) == [True, False]


def test_a_kept_sample_is_judged_again() -> None:
    (problem,) = load("reasoning_gym:countdown", params={"size": 1}, seed=1)
    kept = json.loads(json.dumps({"question": "?", "answer": problem.answer, "verifier": problem.verifier}))
    verifier = verifier_of(kept)
    texts = [rf"\boxed{{{problem.answer}}}", rf"\boxed{{{problem.columns['metadata']['target']}}}"]
    assert verdicts(texts, [problem.answer] * 2, [verifier] * 2) == [True, False]


@pytest.mark.parametrize(
    "row",
    [
        {"question": "1+1?", "answer": "2", "metadata": {"source_dataset": "gsm8k", "source_index": 1}},
        {"question": "1+1?", "answer": "2", "metadata": {"source_dataset": "countdown"}},
        {"question": "1+1?", "answer": "2", "metadata": "countdown"},
        {"answer": "2", "metadata": {"source_dataset": "countdown", "source_index": 1}},
        {"answer": "2", "verifier": {"task": "none", "params": {}, "entry": {}}},
    ],
)
def test_other_rows_are_as_they_were(row: dict[str, object]) -> None:
    assert verifier_of(row) is None
