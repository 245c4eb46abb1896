"""What people bring that is unusual and good: it works, and where something is left out it is said once."""

import errno
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from model_files import change_json, change_tensors, random_model
from problem_files import write

import tina_lite
from tina_lite import Recipe, load_recipe, run
from tina_lite.runs.events import LogLine

pytestmark = pytest.mark.slow


@pytest.fixture
def runs(tina: Callable[..., Any], place: Path) -> Callable[..., dict[str, Any]]:
    """A run that goes well, by the command; its summary."""

    def runs(*changes: str, recipe: str = "case.yaml", out: str = "r") -> dict[str, Any]:
        said = tina("run", recipe, "--plain", "--out", out, *(part for one in changes for part in ("--set", one)))
        assert said.code == 0, said.err
        summary: dict[str, Any] = json.loads((place / out / "summary.json").read_text())
        assert summary["steps"] == 1
        return summary | {"said": said.err}

    return runs


def resolved(place: Path, out: str = "r") -> Recipe:
    return load_recipe(place / out / "recipe.yaml")


def test_a_model_by_its_bare_name_and_a_run_that_is_resumed_from_elsewhere(
    place: Path, model: Path, runs: Callable[..., Any], tina: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs("model.id=mymodel")
    assert resolved(place).model.id == str(model)
    monkeypatch.chdir("/")
    said = tina("run", str(place / "r" / "recipe.yaml"), "--resume", "--out", str(place / "r"), "--force-recipe",
                "--max-steps", "2", "--plain")  # fmt: skip
    assert said.code == 0, said.err


def test_a_linked_recipe_finds_what_lies_beside_the_link_and_beside_the_file(
    place: Path, recipe: Path, runs: Callable[..., Any]
) -> None:
    for folder in ("ra", "rb", "elsewhere"):
        (place / folder).mkdir()
    recipe.rename(place / "ra" / "r.yaml")
    (place / "ok.jsonl").rename(place / "rb" / "ok.jsonl")
    write(place / "ra" / "test.jsonl", {"question": "What is 8+9?", "answer": "17"})
    (place / "rb" / "r.yaml").symlink_to("../ra/r.yaml")
    summary = runs("eval.benchmarks=test.jsonl", recipe="rb/r.yaml")
    assert summary["eval"]["before"]["problems"] == 1
    assert resolved(place).data.source == str(place / "rb" / "ok.jsonl")


def test_a_home_folder_by_its_tilde(
    place: Path, model: Path, runs: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(place))
    write(place / "test.jsonl", {"question": "What is 8+9?", "answer": "17"})
    (place / "mine.py").write_text("def score(completions, **c): return [1.0] * len(completions)\n")
    runs(
        "data.source=~/ok.jsonl",
        "model.id=~/mymodel",
        "rewards=~/mine.py:score",
        "eval.benchmarks=~/test.jsonl",
        out="r",
    )
    found = resolved(place)
    assert (found.data.source, found.model.id) == (str(place / "ok.jsonl"), str(model))
    assert found.rewards[0].name == f"{place}/mine.py:score"


def test_files_by_links_to_names_that_say_nothing(place: Path, recipe: Path, runs: Callable[..., Any]) -> None:
    (place / "blobs").mkdir()
    (place / "snap").mkdir()
    write(place / "test.jsonl", {"question": "What is 8+9?", "answer": "17"})
    (place / "helper.py").write_text("VALUE = 1.0\n")
    (place / "mine.py").write_text(
        "def score(completions, **c):\n    from helper import VALUE\n    return [VALUE] * len(completions)\n"
    )
    for number, name in enumerate(("ok.jsonl", "test.jsonl", "mine.py")):
        (place / name).rename(place / "blobs" / f"{number}f2a9c")
        (place / "snap" / name).symlink_to(f"../blobs/{number}f2a9c")
    (place / "helper.py").rename(place / "snap" / "helper.py")
    summary = runs("data.source=snap/ok.jsonl", "eval.benchmarks=snap/test.jsonl", "rewards=snap/mine.py:score")
    assert summary["reward"]["last"] == 1.0
    assert resolved(place).data.source == str(place / "snap" / "ok.jsonl")


def test_lists_names_and_numbers_as_people_type_them(place: Path, recipe: Path, runs: Callable[..., Any]) -> None:
    runs(
        "lora.target_modules=q_proj,v_proj",
        "rewards=accuracy, format",
        "rollout.stop=</answer>, or so",
        "name=my café 2",
        "seed=1764144000000000",
    )
    found = resolved(place)
    assert found.lora.target_modules == ("q_proj", "v_proj")
    assert [reward.name for reward in found.rewards] == ["accuracy", "format"]
    assert found.rollout.stop == ("</answer>, or so",)
    assert (found.name, found.seed) == ("my café 2", 1764144000000000)


def test_all_linear_is_every_linear_layer_but_the_head(place: Path, recipe: Path, runs: Callable[..., Any]) -> None:
    runs("lora.target_modules=all-linear")
    config = json.loads((place / "r" / "adapter" / "adapter_config.json").read_text())
    assert set(config["target_modules"]) == {
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"
    }  # fmt: skip
    import torch
    from safetensors.torch import load_file

    tensors = load_file(place / "r" / "adapter" / "adapter_model.safetensors")
    assert len(tensors) == 4 * 7 * 2
    assert not any("lm_head" in name for name in tensors)
    assert all(torch.isfinite(tensor).all() for tensor in tensors.values())


def test_gpt2_whose_layers_are_no_linear_modules(place: Path, model: Path, runs: Callable[..., Any]) -> None:
    from safetensors.torch import load_file

    sizes = {"vocab_size": 448, "n_embd": 64, "n_layer": 1, "n_head": 4, "bos_token_id": 1, "eos_token_id": 1}
    random_model(model, "gpt2", **sizes)
    (place / "mine.py").write_text(
        "def score(completions, **c): return [float(n % 2) for n, _ in enumerate(completions)]\n"
    )
    runs("lora.target_modules=[c_attn, c_fc]", "rewards=mine.py:score", "model.quantization=none")
    tensors = load_file(place / "r" / "adapter" / "adapter_model.safetensors")
    assert all(float(tensor.abs().max()) > 0 for name, tensor in tensors.items() if "lora_B" in name)


def test_think_tags_that_are_special_tokens_are_seen_by_the_rewards(model: Path) -> None:
    from tina_lite.policy.pretrained import load_tokenizer
    from tina_lite.rewards.builtin import format_reward
    from tina_lite.rewards.call import chat
    from tina_lite.rollout.sampling import TextOf

    tokens = json.loads((model / "tokenizer.json").read_text())
    for token in tokens["added_tokens"]:
        token["special"] = token["special"] or "think" in token["content"]
    (model / "tokenizer.json").write_text(json.dumps(tokens))
    tokenizer = load_tokenizer(str(model))
    text = "<think>\n7+9=16\n</think>\n\\boxed{16}"
    ids = [*tokenizer.encode(text, add_special_tokens=False), tokenizer.eos_token_id]
    assert "think" not in tokenizer.decode(ids, skip_special_tokens=True)
    assert TextOf(tokenizer)(ids) == text
    assert format_reward(chat(TextOf(tokenizer)(ids))) == [1.0]


def test_a_tokenizer_that_ends_every_text_does_not_end_the_prompt(
    place: Path, model: Path, tina: Callable[..., Any]
) -> None:
    from tina_lite.data.chat_template import encode
    from tina_lite.policy.pretrained import load_tokenizer

    (model / "chat_template.jinja").unlink()
    tokens = json.loads((model / "tokenizer.json").read_text())
    tokens["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "<|end|>", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<|end|>": {"id": "<|end|>", "ids": [1], "tokens": ["<|end|>"]}},
    }
    (model / "tokenizer.json").write_text(json.dumps(tokens))
    tokenizer = load_tokenizer(str(model))
    assert tokenizer.encode("What is 2+3?\n")[-1] == tokenizer.eos_token_id
    assert tokenizer.eos_token_id not in encode(tokenizer, "What is 2+3?\n")
    assert tina("run", "case.yaml", "--dry-run").code == 0


TEMPLATE = (
    "{% for m in messages %}<|user|>{{ m.content }}{% endfor %}<|assistant|>"
    "{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}"
)


def test_thinking_may_be_turned_off(place: Path, model: Path, tina: Callable[..., Any]) -> None:
    (model / "chat_template.jinja").write_text(TEMPLATE)
    switch = "data.chat_template_kwargs={enable_thinking: false}"
    assert "<|assistant|><think></think>" in tina("run", "case.yaml", "--dry-run", "--set", switch).out
    assert "</think>" not in tina("run", "case.yaml", "--dry-run").out
    shown = tina("data", "case.yaml", "--set", switch).out
    assert "<think></think>" in shown


def test_a_padded_embedding_and_weights_in_half_precision_are_fine(model: Path, runs: Callable[..., Any]) -> None:
    import torch

    def halve(tensors: dict[str, Any]) -> None:
        for name in ("model.embed_tokens.weight", "lm_head.weight"):
            tensors[name] = torch.cat([tensors[name], tensors[name][:64]])
        tensors.update({name: tensor.half() for name, tensor in tensors.items()})

    change_tensors(model, halve)
    change_json(model / "config.json", vocab_size=512)
    runs()


def test_a_reward_without_any_opinion_is_told_once(place: Path, recipe: Path) -> None:
    (place / "mine.py").write_text("def nothing(completions, **c): return [None] * len(completions)\n")
    seen: list[str] = []

    def listen(stamped: Any) -> None:
        if isinstance(stamped.event, LogLine):
            seen.append(stamped.event.text)

    changes = {"rewards": ["accuracy", "mine.py:nothing"], "stop.max_steps": 3}
    summary = run(load_recipe(recipe, changes), out=place / "r", listeners=[listen])
    said = "reward nothing gave None for every completion of step 1: it counts for nothing there"
    assert seen.count(said) == 1
    assert said in summary["warnings"]


def test_completions_that_are_all_cut_off_are_told_once(place: Path, recipe: Path) -> None:
    changes, told = {"rollout.max_completion_length": 1, "stop.max_steps": 6}, []
    summary = run(load_recipe(recipe, changes), out=place / "r", listeners=[lambda stamped: told.append(stamped.event)])
    (alarm,) = (event for event in told if event.event == "alarm" and event.name == "clipped")
    assert alarm.step == 3
    assert "rollout.max_completion_length" in alarm.advice
    assert summary["alarms"]["clipped"] == "100% of the completions are cut off before their answer"


def test_a_benchmark_that_vanishes_and_prompts_that_are_skipped_are_in_the_summary(place: Path, recipe: Path) -> None:
    write(place / "long.jsonl", {"question": "What is " + "1+" * 200 + "1?", "answer": "201"})
    rows = [{"question": "What is " + "1+" * 100 * (n % 2) + f"{n}?", "answer": "1"} for n in range(8)]
    write(place / "ok.jsonl", *rows)
    changes = {"eval.benchmarks": ["long.jsonl"], "stop.max_steps": 3}
    warnings = "\n".join(run(load_recipe(recipe, changes), out=place / "r")["warnings"])
    assert "benchmark long: it is not measured: longer than rollout.max_prompt_length, 64 tokens" in warnings
    assert warnings.count("prompts skipped so far") == 1


def test_a_reward_of_trl_learns_how_far_training_is(place: Path, recipe: Path) -> None:
    (place / "mine.py").write_text(
        "SEEN = []\n"
        "def score(completions, trainer_state, **c):\n"
        "    SEEN.append((trainer_state.global_step, trainer_state.max_steps))\n"
        "    return [float(trainer_state.global_step)] * len(completions)\n"
        "def each(completion, trainer_state): return float(trainer_state.global_step)\n"
    )
    changes = {"rewards": ["mine.py:score", "mine.py:each"], "stop.max_steps": 2}
    summary = run(load_recipe(recipe, changes), out=place / "r")
    assert (summary["reward"]["first"], summary["reward"]["last"]) == (0.0, 2.0)


def test_a_stream_that_is_not_utf_8_gets_what_it_can_show(place: Path, recipe: Path) -> None:
    write(place / "ok.jsonl", *({"question": f"Combien font {n}+3 \u20ac\u00e9?", "answer": str(n)} for n in range(40)))
    environment = {**os.environ, "PYTHONIOENCODING": "ascii",
                   "PYTHONPATH": str(Path(tina_lite.__file__).parents[1])}  # fmt: skip
    for words in (["--dry-run"], ["--plain", "--out", "caf\u00e9"], ["--json", "--out", "th\u00e9"]):
        command = [sys.executable, "-m", "tina_lite.cli.main", "run", "case.yaml", *words, "--set", "name=caf\u00e9"]
        done = subprocess.run(command, cwd=place, env=environment, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        assert b"Traceback" not in done.stderr
        if "--json" in words:
            assert all(json.loads(line) for line in done.stdout.splitlines())


def test_what_nobody_foresaw_is_one_line_and_a_file(
    place: Path, recipe: Path, tina: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*arguments: object, **named: object) -> None:
        raise RuntimeError("a wire\nis loose")

    for where in ("tina_lite.launch.check.problems_of", "tina_lite.launch.load.open_policy"):
        with monkeypatch.context() as patch:
            patch.setattr(where, explode)
            said = tina("run", "case.yaml", "--plain", "--out", "r")
        assert said.code == 1
        (line,) = [line for line in said.err.splitlines() if not re.match(r"\d+:\d\d:\d\d ", line)]
        assert line.startswith("a fault ended it: RuntimeError: a wire is loose; the traceback is in ")
        kept = Path(line.partition("the traceback is in ")[2].partition(";")[0])
        assert "RuntimeError: a wire" in kept.read_text()
        assert not (place / "r").exists()
        kept.unlink()


def test_what_becomes_of_a_place_is_said_in_a_line(place: Path, tina: Callable[..., Any]) -> None:
    assert tina("recipes", "copy", "quickstart", "new/folder/mine.yaml").code == 0
    for arguments in (("recipes", "copy", "quickstart", "new/folder/mine.yaml/x.yaml"), ("watch", "quickstart")):
        said = tina(*arguments)
        assert (said.code, said.err.count("\n")) == (2, 1)
    (place / "gone").mkdir()
    os.chdir(place / "gone")
    (place / "gone").rmdir()
    said = tina("recipes")
    os.chdir(place)
    assert (said.code, said.err) == (2, "the working directory is gone; cd to one that is there\n")


def test_a_disk_that_is_full_is_no_fault(
    place: Path, tina: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tina_lite.util.disk.os.write", full)
    said = tina("recipes", "copy", "quickstart", "mine.yaml")
    monkeypatch.undo()
    assert said.code == 3
    assert re.fullmatch(
        r"\S*mine\.yaml\S*: cannot be written \(No space left on device\); free some space, and do it again\n", said.err
    )
    assert not list(place.glob("*mine.yaml*"))


def test_what_fails_before_its_first_step_does_not_block_the_next_try(
    place: Path, recipe: Path, tina: Callable[..., Any], runs: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*arguments: object, **named: object) -> None:
        raise MemoryError("no room")

    with monkeypatch.context() as patch:
        patch.setattr("tina_lite.rollout.sampler.Sampler.rollout", explode)
        said = tina("run", "case.yaml", "--plain", "--out", "r")
    assert said.code == 3
    assert json.loads((place / "r" / "summary.json").read_text())["steps"] == 0
    runs(out="r")
    assert (place / "r-failed" / "ledger.jsonl").exists()
    taken = tina("run", "case.yaml", "--plain", "--out", "r")
    assert (taken.code, "holds another run" in taken.err) == (2, True)
