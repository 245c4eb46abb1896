"""Scores of a step, with reward functions that fail in every way."""

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tina_lite.rewards import WeightedReward, resolve, score
from tina_lite.rewards.registry import Reward
from tina_lite.util.errors import BadInput
from tina_lite.util.records import Completion, Group, Problem, Prompt


def group(question: str, answer: str, *texts: str, **columns: object) -> Group:
    prompt = Prompt(Problem(0, question, answer, columns), f"<{question}>", (1,))
    return Group(prompt, tuple(Completion((5,) * len(text), (0.0,) * len(text), text, "stop") for text in texts))


GROUPS = [
    group("1+1?", "2", "\\boxed{2}", "\\boxed{3}", level=1),
    group("2+2?", "4", "x\n</think>\n\\boxed{4}", "", topic="sums"),
]


def weighted(function: Callable[..., object], weight: float = 1.0, name: str = "mine") -> WeightedReward:
    return WeightedReward(Reward(name, function, {}), weight)


def test_values_by_group_and_weighted_totals() -> None:
    scores = score(GROUPS, [WeightedReward(resolve("accuracy"), 2.0), WeightedReward(resolve("format"), 1.0)])
    assert scores.groups[0].rewards == {"accuracy": (1.0, 0.0), "format": (0.0, 0.0)}
    assert scores.groups[1].rewards == {"accuracy": (1.0, 0.0), "format": (1.0, 0.0)}
    assert [one.totals for one in scores.groups] == [(2.0, 0.0), (3.0, 0.0)]
    assert (scores.failures, scores.tracebacks) == ({}, {})


def test_what_a_function_is_handed() -> None:
    seen: dict[str, object] = {}

    def spy(**columns: object) -> list[None]:
        seen.update(columns)
        return [None] * 4

    scores = score(GROUPS, [weighted(spy)])
    assert seen["prompts"] == [[{"role": "user", "content": question}] for question in ["1+1?", "1+1?", "2+2?", "2+2?"]]
    assert seen["completions"][1] == [{"role": "assistant", "content": "\\boxed{3}"}]
    assert [len(ids) for ids in seen["completion_ids"]] == [9, 9, 20, 0]
    assert seen["answer"] == ["2", "2", "4", "4"]
    assert seen["group_ids"] == [0, 0, 1, 1]
    assert (seen["level"], seen["topic"]) == ([1, 1, None, None], [None, None, "sums", "sums"])
    assert scores.groups[0].rewards == {"mine": (None, None)}
    assert scores.groups[0].totals == (0.0, 0.0)


@pytest.mark.parametrize(
    ("gives", "values", "failures"),
    [
        ([1, True, 0.5, None], (1.0, 1.0, 0.5, None), 0),
        ((1.0, 2.0, 3.0, 4.0), (1.0, 2.0, 3.0, 4.0), 0),
        ([math.nan, 1.0, math.inf, -math.inf], (0.0, 1.0, 0.0, 0.0), 3),
        (["1.0", 1.0, [], {}], (0.0, 1.0, 0.0, 0.0), 3),
        ([1j, 1.0, object(), 10**400], (0.0, 1.0, 0.0, 0.0), 3),
        ([1.0, 1.0, 1.0], (0.0,) * 4, 4),
        ([1.0] * 5, (0.0,) * 4, 4),
        ("good", (0.0,) * 4, 4),
        (None, (0.0,) * 4, 4),
        (1.0, (0.0,) * 4, 4),
        ({"a": 1, "b": 2, "c": 3, "d": 4}, (0.0,) * 4, 4),
    ],
)
def test_what_a_function_may_give(gives: object, values: tuple[float | None, ...], failures: int) -> None:
    scores = score(GROUPS, [weighted(lambda completions: gives)])
    assert scores.groups[0].rewards["mine"] + scores.groups[1].rewards["mine"] == values
    assert scores.failures == ({"mine": failures} if failures else {})
    assert bool(scores.tracebacks) == (failures > 0)


def test_a_reward_that_raises_leaves_the_others_alone() -> None:
    def broken(completions: object) -> list[float]:
        raise RuntimeError("out of cheese")

    scores = score(GROUPS, [weighted(broken, name="broken"), weighted(lambda completions: [1.0] * 4)])
    assert [one.totals for one in scores.groups] == [(1.0, 1.0), (1.0, 1.0)]
    assert scores.failures == {"broken": 4}
    assert scores.tracebacks["broken"].startswith("reward broken, completion 0:\nTraceback")
    assert scores.reason("broken") == "RuntimeError: out of cheese"


def test_a_column_that_is_not_there_is_bad_input() -> None:
    with pytest.raises(BadInput, match="mine: it wants a column target; there are answer, completion_ids"):
        score(GROUPS, [weighted(lambda completions, target: [])])


def test_what_a_person_can_mend_is_not_swallowed() -> None:
    with pytest.raises(BadInput, match="max_length is -1"):
        score(GROUPS, [WeightedReward(resolve("cosine", {"max_length": -1}), 1.0)])


def test_a_name_may_stand_once() -> None:
    with pytest.raises(BadInput, match="a name stands twice"):
        score(GROUPS, [WeightedReward(resolve("format"), 1.0)] * 2)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=5))
def test_rows_go_back_to_their_groups(sizes: list[int]) -> None:
    groups = [group("?", str(index), *["x"] * size) for index, size in enumerate(sizes)]
    scores = score(groups, [weighted(lambda answer, **_: [float(one) for one in answer], weight=3.0)])
    for index, (size, one) in enumerate(zip(sizes, scores.groups, strict=True)):
        assert one.rewards == {"mine": (float(index),) * size}
        assert one.totals == (3.0 * index,) * size


def test_rewards_cannot_harm_each_other() -> None:
    """One strips what is boxed, one sorts, one empties: what stands beside them gives what it gives alone."""
    import random

    texts = ("\\boxed{1}", "\\boxed{2}", "no", "\\boxed{1}")
    problem = Problem(0, "What is 0+1?", "1", {"notes": ["a", "b"]})
    made = [Group(Prompt(problem, "", (1,)), tuple(Completion((5,), (0.0,), text, "stop") for text in texts))]

    def strips(completions, **columns):
        for messages in completions:
            messages[0]["content"] = "nothing"
        return [0.0] * len(completions)

    def sorts(completions, answer, notes, **columns):
        completions.sort(key=lambda messages: messages[0]["content"])
        random.shuffle(answer)
        notes[0].clear()
        return [0.0] * len(completions)

    def empties(completions, completion_ids, **columns):
        count = len(completions)
        completions.clear()
        completion_ids.pop()
        return [0.0] * count

    def reads(completions, notes, **columns):
        return [float(messages[0]["content"] == "no") + len(note) for messages, note in zip(completions, notes)]

    rewards = [
        WeightedReward(Reward(name, function, {}), 1.0)
        for name, function in (("strips", strips), ("sorts", sorts), ("empties", empties), ("reads", reads))
    ]
    accuracy = WeightedReward(resolve("accuracy"), 1.0)
    for order in ([*rewards, accuracy], [accuracy, *reversed(rewards)]):
        (scores,) = score(made, order).groups
        assert scores.rewards["accuracy"] == (1.0, 0.0, 0.0, 1.0)
        assert scores.rewards["reads"] == (2.0, 2.0, 3.0, 2.0)
    assert problem.columns == {"notes": ["a", "b"]}
