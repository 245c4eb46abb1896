"""Rows that the model's chat template takes, and those that it does not take: known before the run begins."""

import json
import shutil
from pathlib import Path

import pytest
from character_tokenizer import CharacterTokenizer
from problem_files import write
from sections import load
from whole_runs import summary_of

import tina_lite
from tina_lite.data import prompts
from tina_lite.data.chat_template import prompt_text

ALTERNATE = """\
{% for m in messages %}
{%- if loop.index0 % 2 and m.role == 'user' %}{{ raise_exception('roles must alternate') }}{% endif -%}
<|user|>{{ m.content }}<|end|>{% endfor %}<|assistant|>"""


def chat(n: int, *earlier: str) -> dict:
    return {"messages": [{"role": "user", "content": text} for text in (*earlier, f"{n}+1=")], "answer": str(n + 1)}


@pytest.fixture
def strict(quick_recipe, tmp_path, monkeypatch) -> list[str]:
    """A recipe for a model whose template is strict, with 24 rows, of which rows 7 and 19 break its rule."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(Path(tina_lite.__file__).parent / "base", "model")
    Path("model/chat_template.jinja").write_text(ALTERNATE)
    rows = [chat(n, "Hello.") if n in (7, 19) else chat(n) for n in range(24)]
    Path("mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    Path("asked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in (chat(50, "Hi."), chat(51))))
    sizes = ("rollout.max_completion_length=4", "rollout.prompts_per_step=4", "rollout.num_generations=2")
    measured = ("eval={benchmarks: [asked.jsonl], problems: 2, samples: 1}", "data={source: mine.jsonl}")
    settings = ("model.id=./model", "rewards=[accuracy]", "stop={max_steps: 7}", *sizes, *measured)
    return ["quick.yaml", *(word for setting in settings for word in ("--set", setting))]


SAID = "2 of 24 prompts will not be asked: the tokenizer's chat template refuses the prompt: roles must alternate"


def test_a_row_that_the_template_refuses_is_named_before_the_run_and_passed_over(strict, tina):
    dry = tina("run", *strict, "--dry-run")
    assert dry.code == 0
    assert f"warning:     {SAID} (rows 7, 19)\n" in dry.out
    shown = tina("data", *strict)
    assert shown.code == 0
    assert "2 the tokenizer's chat template refuses the prompt: roles must alternate: rows 7, 19" in " ".join(
        shown.out.split()
    )
    assert "train:     22 problems\n" in shown.out
    done = tina("run", *strict, "--out", "out", "--plain")
    assert done.code == 0, done.err
    said = done.out + done.err
    assert f"{SAID} (rows 7, 19)" in said
    assert "benchmark asked: only 1 of 2 are asked: the tokenizer's chat template refuses the prompt" in said
    assert summary_of(Path("out"))["steps"] == 7, "more than an epoch"
    asked = [json.loads(line)["problem"] for line in Path("out/samples.jsonl").read_text().splitlines()]
    assert not {7, 19} & set(asked)


def test_of_very_many_rows_an_even_sample_is_tried_and_that_is_said(monkeypatch):
    asked = {"max_prompt_length": 512, "system_prompt": None}
    problems = load("arithmetic", params={"size": 3000})
    assert prompts.prompt_notes(problems, CharacterTokenizer(), **asked) == []
    monkeypatch.setattr(prompts, "MOST_RENDERED", 1000)
    monkeypatch.setattr(prompts, "MOST_ENCODED", 500)
    (note,) = prompts.prompt_notes(problems, CharacterTokenizer(), **{**asked, "max_prompt_length": 3})
    assert note.startswith(
        "about 1,000 of 3,000 prompts, 1,000 of which were tried, will not be asked: longer than "
        "rollout.max_prompt_length, 3 tokens (rows 0, 6, 12,"
    )


CALL = {"type": "function", "function": {"name": "add", "arguments": {"a": 2, "b": 3}}}
ADD = {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}
WITH_TOOLS = """\
{% if tools %}<|system|>{{ tools[0].function.name }}<|end|>{% endif %}{% for m in messages %}<|{{ m.role }}|>
{%- for call in m.tool_calls or [] %}CALL {{ call.function.name }}{% endfor %}{{ m.content }}<|end|>{% endfor %}
{%- if add_generation_prompt %}<|assistant|>{% endif %}"""


@pytest.mark.parametrize("template", [WITH_TOOLS, ""], ids=["a place for tools", "none"])
@pytest.mark.parametrize("tools", [[ADD], json.dumps([ADD])], ids=["a list", "JSON text"])
def test_tools_are_kept_where_the_template_has_a_place_for_them(tmp_path, monkeypatch, template, tools):
    from tina_lite.policy.pretrained import load_tokenizer

    monkeypatch.chdir(tmp_path)
    turns = [
        {"role": "user", "content": "What is 2+3?"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "content": "5", "tool_call_id": "1"},
        {"role": "user", "content": "And one more?"},
    ]
    (problem,) = load(write(tmp_path / "x.jsonl", {"messages": turns, "tools": tools, "answer": "6"}))
    tokenizer = load_tokenizer("builtin:tiny")
    tokenizer.chat_template = template or tokenizer.chat_template
    asked = {"max_prompt_length": 512, "system_prompt": None}
    notes = prompts.prompt_notes([problem], tokenizer, **asked)
    if template:
        text = prompt_text(problem, tokenizer, None)
        assert text == (
            "<|system|>add<|end|><|user|>What is 2+3?<|end|><|assistant|>CALL add<|end|><|tool|>5<|end|>"
            "<|user|>And one more?<|end|><|assistant|>"
        )
        assert notes == []
    else:
        (note,) = notes
        assert note == (
            "1 of 1 prompts will not be asked: the tokenizer's chat template has no place for tools, which the "
            "prompt has (row 0)"
        )
