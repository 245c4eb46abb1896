"""Held-out problems, and the order and form of prompts."""

import json
from pathlib import Path

import pytest
from character_tokenizer import CharacterTokenizer
from hypothesis import given
from hypothesis import strategies as st
from sections import load

from tina_lite.data import ProblemSet, PromptSource, first_prompts, hold_out, render
from tina_lite.data.chat_template import messages_for, template_notes
from tina_lite.data.problem_set import HELD_OUT_SINCE, question_key
from tina_lite.util.errors import BadInput
from tina_lite.util.records import Problem


def problem_set(*questions: str) -> ProblemSet:
    rows = range(len(questions))
    return ProblemSet("mine", lambda row: Problem(row, questions[row], "1", {}), rows, {})


TOKENIZER = CharacterTokenizer()


def source(problems: ProblemSet, position: int = 0, seed: int = 1, longest: int = 999) -> PromptSource:
    return PromptSource(
        problems, TOKENIZER, max_prompt_length=longest, system_prompt=None, seed=seed, position=position
    )


QUESTIONS = st.lists(st.text(alphabet="abAB \n?", min_size=1, max_size=4), min_size=4, max_size=40)


@given(QUESTIONS, st.sampled_from([0.0, 0.1, 0.3, 0.5]))
def test_held_out_and_train_share_no_question(questions: list[str], fraction: float) -> None:
    everything = problem_set(*questions, "train question 0")
    train, held = hold_out(everything, fraction)
    assert sorted(problem.index for half in (train, held) for problem in half) == list(range(len(everything)))
    normal = [{" ".join(problem.question.split()).casefold() for problem in half} for half in (train, held)]
    assert not normal[0] & normal[1]


def test_the_rule_that_holds_problems_out_is_that_of_its_version() -> None:
    """With another rule, runs of before would be measured on what they were trained on: it has another version."""
    texts = ("What is 1 + 1?", "Find $x^2$.", "  \uff21BC ß\n.. ")
    assert [question_key(text) for text in texts] == [0x9531ABDEF0FF67BE, 0xC506E7C506116D06, 0xA2248129081F5BB7]
    _, held = hold_out(problem_set(*(f"What is {n} + {n * n}?" for n in range(100))), 0.1)
    assert [problem.index for problem in held] == [5, 25, 38, 51, 66, 67, 68, 70, 93]
    assert HELD_OUT_SINCE == (0, 2, 0)


def test_the_split_depends_on_the_question_alone() -> None:
    questions = [f"What is {n}+{n}?" for n in range(400)]
    _, held = hold_out(problem_set(*questions), 0.25)
    _, other = hold_out(problem_set(*reversed(questions), *(f"and {n}?" for n in range(50))), 0.25)
    chosen = {problem.question for problem in held}
    assert chosen <= {problem.question for problem in other}
    assert 70 <= len(chosen) <= 130
    assert chosen <= {problem.question for problem in hold_out(problem_set(*questions), 0.5)[1]}


def test_keys_from_loading_and_keys_on_demand_agree(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text("".join(json.dumps({"question": f" Q{n}? ", "answer": n}) + "\n" for n in range(50)))
    loaded = load(str(path))
    assert loaded.keys() == problem_set(*(problem.question for problem in loaded)).keys()


def test_without_a_shuffle_each_epoch_is_in_the_order_of_the_data() -> None:
    problems = problem_set("a?", "b?", "c?")
    source = PromptSource(problems, TOKENIZER, max_prompt_length=99, system_prompt=None, seed=1, shuffle=False)
    assert [prompt.problem.question for prompt in source.next(7)] == ["a?", "b?", "c?", "a?", "b?", "c?", "a?"]


@pytest.mark.parametrize("fraction", [-0.1, 1.0, 7])
def test_a_fraction_that_is_none(fraction: float) -> None:
    with pytest.raises(BadInput, match="a fraction is 0 or more and less than 1"):
        hold_out(problem_set("a"), fraction)


def test_nothing_left_to_train_on() -> None:
    with pytest.raises(BadInput, match="leaves none to train on"):
        hold_out(problem_set("a", "a ", "A"), 0.999999)


def test_render() -> None:
    problem = Problem(0, "1+1?", "2", {})
    plain, brief = messages_for(problem, None), messages_for(problem, "Be brief.")
    assert render(TOKENIZER, plain) == "<user>1+1?<assistant><think>\n"
    assert render(TOKENIZER, brief) == "<system>Be brief.<user>1+1?<assistant><think>\n"
    bare = CharacterTokenizer(template=False)
    assert render(bare, plain) == "1+1?\n"
    assert render(bare, brief) == "Be brief.\n1+1?\n"
    deaf = CharacterTokenizer(system=False)
    assert render(deaf, brief) == "<user>Be brief.\n\n1+1?<assistant><think>\n"
    with pytest.raises(BadInput, match="refuses the prompt: System role not supported"):
        render(deaf, brief[:1])


def test_a_system_prompt_without_a_place_of_its_own_is_said() -> None:
    problems, deaf = problem_set("1+1?"), CharacterTokenizer(system=False)
    assert template_notes(problems, deaf, None) == []
    assert template_notes(problems, TOKENIZER, "Be brief.") == []
    (note,) = template_notes(problems, deaf, "Be brief.")
    assert "stands at the head of the first user message" in note


def test_a_chat_is_asked_whole_and_the_recipes_system_prompt_wins() -> None:
    turns = (
        {"role": "system", "content": "s"},
        {"role": "user", "content": "a?"},
        {"role": "assistant", "content": "b"},
    )
    problem = Problem(0, "c?", "9", {}, turns)
    assert render(TOKENIZER, messages_for(problem, None)) == "<system>s<user>a?<assistant>b<user>c?<assistant><think>\n"
    assert messages_for(problem, "mine")[0] == {"role": "system", "content": "mine"}
    assert [message["role"] for message in messages_for(problem, "mine")] == ["system", "user", "assistant", "user"]


def test_special_tokens_are_added_only_without_a_template() -> None:
    for template, first in ((True, ord("<")), (False, 0)):
        tokenizer = CharacterTokenizer(template)
        (prompt,), _ = first_prompts(problem_set("a?"), tokenizer, 1, max_prompt_length=99, system_prompt=None)
        assert prompt.ids[0] == first
        assert prompt.text == render(tokenizer, messages_for(prompt.problem, None))


def test_first_prompts_keep_the_order_and_skip_long_ones() -> None:
    problems = problem_set("aaaa", "b" * 90, "cccc", "dddd")
    asked = {"max_prompt_length": 60, "system_prompt": None}
    prompts, reasons = first_prompts(problems, TOKENIZER, 2, **asked)
    assert [prompt.problem.index for prompt in prompts] == [0, 2]
    assert list(reasons.values()) == [1]
    assert len(first_prompts(problems, TOKENIZER, 9, **asked)[0]) == 3


def test_every_epoch_holds_every_problem_in_another_order() -> None:
    prompts = source(problem_set(*map(str, range(30))))
    epochs = [[prompt.problem.index for prompt in prompts.next(30)] for _ in range(3)]
    assert all(sorted(epoch) == list(range(30)) for epoch in epochs)
    assert len(set(map(tuple, [*epochs, range(30)]))) == 4
    assert (prompts.position, prompts.epoch) == (90, 3)
    assert (
        source(problem_set(*map(str, range(30))), seed=2).next(30)[0:9]
        != source(problem_set(*map(str, range(30)))).next(30)[0:9]
    )


@given(st.lists(st.integers(1, 7), max_size=6), st.integers(1, 9), st.integers(0, 3))
def test_a_position_is_the_whole_state(calls: list[int], wanted: int, seed: int) -> None:
    problems = problem_set(*("q" * (50 * (row % 3 == 0)) + str(row) for row in range(8)))
    first = source(problems, seed=seed, longest=40)
    for n in calls:
        first.next(n)
    resumed = source(problems, first.position, seed, longest=40)
    assert resumed.next(wanted) == first.next(wanted)
    assert resumed.position == first.position


def test_long_prompts_are_counted_once_each() -> None:
    prompts = source(problem_set("a", "b" * 50, "c", "d" * 50), longest=40)
    assert {prompt.problem.index for prompt in prompts.next(6)} == {0, 2}
    assert prompts.passed_over == {"longer than rollout.max_prompt_length, 40 tokens": {1, 3}}


def test_all_prompts_too_long() -> None:
    with pytest.raises(BadInput, match=r"all 2 prompts are longer than rollout.max_prompt_length, 10 tokens"):
        source(problem_set("a", "b"), longest=10).next(1)
