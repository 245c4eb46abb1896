"""Reward functions as people have them for TRL: on chats or on texts, with the conversation, with data of their own."""

import json
from pathlib import Path

import pytest
from whole_runs import lines, summary_of

from tina_lite import load_recipe, run
from tina_lite.runs.events import LogLine
from tina_lite.util.errors import BadInput

MINE = """\
import re

def near_20(completions, **columns):
    return [-abs(20 - len(completion)) for completion in completions]

def equals(completions, **columns):
    return [float("=" in completion) for completion in completions]

def boxed(completions, **columns):
    return [float(bool(re.search("boxed", completion))) for completion in completions]

def typed(completions: list[str], prompts: list[str], **columns):
    assert all(isinstance(one, str) for one in prompts)
    return [float(len(completion)) for completion in completions]

def chats(completions, **columns):
    return [float(len(completion[0]["content"])) for completion in completions]

def nothing(completions, **columns):
    return [None for _ in completions]

def flat(completions, **columns):
    return [0.5 for _ in completions]

def turns(prompts, completions, **columns):
    said = [[(turn["role"], turn["content"]) for turn in prompt] for prompt in prompts]
    want = [("system", "Be brief."), ("user", "Hello."), ("assistant", "Hi."), ("user", "What is 1+1?")]
    return [float(one == want) + len(text[0]["content"]) / 1e6 for one, text in zip(said, completions)]
"""


@pytest.fixture
def command(quick_recipe, tmp_path, monkeypatch) -> list[str]:
    """A small run of one step, to which a reward is added."""
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(MINE)
    sizes = ("rollout.max_completion_length=4", "rollout.prompts_per_step=2", "stop.max_steps=1")
    return ["run", "quick.yaml", "--plain", "--out", "out", *(word for size in sizes for word in ("--set", size))]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("near_20", "gives the same for every chat"),
        ("equals", "gives the same for every chat"),
        ("boxed", "fails on chats (TypeError: expected string or bytes-like object, got 'list')"),
    ],
)
def test_one_that_works_on_texts_alone_is_told_so_with_the_line_to_write(command, tina, name, why):
    said = tina(*command, "--set", f"rewards=['mine.py:{name}']")
    assert said.code == 2
    line = f"completions: text in the recipe, as in {{name: {name}, completions: text}}"
    assert said.err == f"rewards: {name} {why}, and works on texts: give it {line}\n"
    assert not Path("out").exists()
    done = tina(*command, "--set", f"rewards=[{{name: 'mine.py:{name}', completions: text}}]")
    assert (done.code, "may teach nothing" in done.err + done.out) == (0, False), done.err


@pytest.mark.parametrize("name", ["typed", "chats"])
def test_one_that_says_what_it_wants_gets_it(command, tina, name):
    done = tina(*command, "--set", f"rewards=['mine.py:{name}']")
    assert (done.code, "may teach nothing" in done.err + done.out) == (0, False), done.err
    assert any(row["rewards"][name] > 0 for row in lines(Path("out/samples.jsonl")))


@pytest.mark.parametrize(("name", "gave"), [("nothing", "had no opinion on"), ("flat", "gave 0.5 for")])
def test_what_gives_the_same_for_everything_is_said_before_the_first_step(command, tina, name, gave):
    said = f"reward {name} {gave} both of two made-up completions, a right and a long wrong one: it may teach nothing"
    reward = ("--set", f"rewards=[accuracy, 'mine.py:{name}']")
    assert f"warning:     {said}" in tina(*command, *reward, "--dry-run").out
    done = tina(*command, *reward)
    assert done.code == 0
    shown = done.out + done.err
    assert said in shown
    assert shown.index(said) < shown.index("step 1")


def test_prompts_are_the_whole_conversation(command, tina):
    chat = [("user", "Hello."), ("assistant", "Hi."), ("user", "What is 1+1?")]
    row = {"messages": [{"role": role, "content": text} for role, text in chat], "answer": "2"}
    Path("chats.jsonl").write_text(json.dumps(row) + "\n")
    data = "data={source: chats.jsonl, system_prompt: Be brief.}"
    done = tina(*command, "--set", data, "--set", "rewards=['mine.py:turns']", "--set", "rollout.max_prompt_length=200")
    assert done.code == 0, done.err
    assert all(row["rewards"]["turns"] >= 1 for row in lines(Path("out/samples.jsonl")))


def test_prompts_alone_where_no_reward_wants_an_answer(command, tina):
    rows = [{"prompt": f"Write {n} words."} for n in range(8)]
    Path("mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = ("--set", "data={source: mine.jsonl}")
    wanted = tina(*command, *data, "--set", "rewards=['mine.py:chats', accuracy]")
    assert wanted.code == 2
    assert "no column answer, solution" in wanted.err
    assert tina(*command, *data, "--set", "rewards=['mine.py:chats']").code == 0
    held_out = ("--set", "eval.benchmarks=[held_out]", "--set", "data.held_out=0.5", "--out", "other")
    held = tina(*command, *data, "--set", "rewards=['mine.py:chats']", *held_out)
    assert held.code == 2
    assert "eval.benchmarks: held_out: the data has no answers to compare with; leave it out" in held.err
    shown = tina("data", "quick.yaml", *data, "--set", "rewards=['mine.py:chats']")
    assert "train:     8 problems" in shown.out


def test_functions_of_a_notebook_are_rewards(quick_recipe, tmp_path):
    def longer(completions, **columns):
        return [float(len(chat[0]["content"])) for chat in completions]

    recipe = load_recipe(quick_recipe, {"stop.max_steps": 1, "rollout.max_completion_length": 4})
    seen: list = []
    rewards = [longer, {"name": "format", "weight": 0.5}, "accuracy"]
    run(recipe, rewards=rewards, out=tmp_path / "out", listeners=[seen.append])
    assert list(lines(tmp_path / "out" / "samples.jsonl")[0]["rewards"]) == ["longer", "format", "accuracy"]
    assert summary_of(tmp_path / "out")["steps"] == 1
    assert not [one.event for one in seen if isinstance(one.event, LogLine) and "may teach nothing" in one.event.text]
    with pytest.raises(BadInput, match=r"has no name; write it as a def"):
        run(recipe, rewards=[lambda completions: 0], out=tmp_path / "other")
    with pytest.raises(BadInput, match=r"a recipe names a function, as file\.py:function; the function itself is for"):
        load_recipe(quick_recipe, {"rewards": [longer]})
