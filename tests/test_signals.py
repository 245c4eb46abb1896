"""SIGTERM and Ctrl-C in every phase: obeyed at once, and what goes on is the run that nothing happened to."""

import importlib
import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from from_outside import COMMAND, ENVIRONMENT
from test_run import adapter, lines, metrics, same

from tina_lite import Recipe, run
from tina_lite.errors import Interrupted
from tina_lite.runs.events import Evaluated, Notice, StepDone
from tina_lite.runs.signals import StopRequest
from tina_lite.wall_clock import OutOfTime

pytestmark = pytest.mark.slow

OBEYED_S = 5.0
RECIPE = """\
name: signals
seed: 1
model: {id: builtin:tiny, compute_dtype: float32}
lora: {r: 8, alpha: 32, dropout: 0.1}
data: {source: arithmetic}
rollout: {prompts_per_step: 4, num_generations: 4, max_prompt_length: 64, max_completion_length: 16, temperature: 1.0,
          resample_zero_variance: 2}
rewards: [accuracy]
optim: {learning_rate: 1.0e-3, micro_batch_tokens: 128}
budget: {max_usd: 1.0, rate: 0.20}
stop: {max_steps: 3}
eval: {benchmarks: [held_out], problems: 12, samples: 2}
"""
PLACES = {
    "load": ("tina_lite.policy.portable", "load_base", 1, 0),
    "before": ("tina_lite.drawing", "draw", 5, 0),
    "judging before": ("tina_lite.evaluate.passk", "judge_group", 3, 0),
    "rollout": ("tina_lite.drawing", "draw", 100, 1),
    "reward": ("tina_lite.collector", "score", 1, 0),
    "resampling": ("tina_lite.problems.PromptSource", "next", 3, 0),
    "update": ("tina_lite.learner.Learner", "_backward", 2, 0),
    "save": ("tina_lite.runs.checkpoint", "write_file", 5, 3),
    "after": ("tina_lite.evaluate.examiner.Examiner", "after", 1, 3),
    "judging after": ("tina_lite.evaluate.passk", "judge_group", 20, 3),
}
"""At which call of what a signal comes, and the steps that are whole then."""


def owner_of(name: str) -> object:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        module, _, attribute = name.rpartition(".")
        return getattr(importlib.import_module(module), attribute)


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    (tmp_path / "signals.yaml").write_text(RECIPE)
    return Recipe.load(tmp_path / "signals.yaml")


@pytest.fixture(scope="module")
def straight(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("straight")
    (folder / "signals.yaml").write_text(RECIPE)
    run(Recipe.load(folder / "signals.yaml"), out=folder / "out")
    return folder / "out"


@pytest.mark.parametrize("place", PLACES)
def test_sigterm_is_obeyed_in_every_phase_and_the_run_goes_on_exactly(place, recipe, tmp_path, straight, monkeypatch):
    name, function, number, steps = PLACES[place]
    owner, out, calls, seen = owner_of(name), tmp_path / "out", [], []
    real = getattr(owner, function)

    def signalled(*arguments, **others):
        calls.append(time.monotonic())
        if len(calls) == number:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(*arguments, **others)

    with monkeypatch.context() as patch:
        patch.setattr(owner, function, signalled)
        with pytest.raises(Interrupted) as caught:
            run(recipe, out=out, listeners=[lambda stamped: seen.append(stamped.event)])
        assert time.monotonic() - calls[number - 1] < OBEYED_S
    assert caught.value.exit_code == 143
    whole = [event.step for event in seen if isinstance(event, StepDone)]
    assert whole == list(range(1, steps + 1)), "no step is trained on what a signal cut short"
    before = [event.problems for event in seen if isinstance(event, Evaluated) and event.when == "before"]
    assert before == ([] if "before" in place or place == "load" else [12]), "whole or absent"
    assert not any(isinstance(event, Evaluated) and event.when == "after" for event in seen)
    summary = run(recipe, out=out, resume=True)
    assert metrics(out) == metrics(straight)
    assert lines(out / "samples.jsonl") == lines(straight / "samples.jsonl")
    assert same(adapter(out), adapter(straight))
    assert summary["eval"] == json.loads((straight / "summary.json").read_text())["eval"]


def test_a_reward_that_will_not_end_is_left_within_seconds(recipe, tmp_path):
    (tmp_path / "mine.py").write_text(
        "import os, signal\n"
        "def endless(completions, **columns):\n"
        "    if len(completions) > 2:\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "        while True:\n"
        "            try:\n"
        "                while True: pass\n"
        "            except Exception:\n"
        "                pass\n"
        "    return [0.0 for _ in completions]\n"
    )
    started = time.monotonic()
    with pytest.raises(Interrupted):
        run(
            Recipe.load(tmp_path / "signals.yaml", {"rewards": ["mine.py:endless"], "eval.benchmarks": []}),
            out=tmp_path / "out",
        )
    assert time.monotonic() - started < 2 * OBEYED_S


def test_the_first_signal_is_answered_at_once_and_by_another_thread():
    answered, by = threading.Event(), []
    with StopRequest() as stop:

        def answer(text: str) -> None:
            by.append((text, threading.current_thread() is threading.main_thread()))
            answered.set()

        stop.answer = answer
        os.kill(os.getpid(), signal.SIGINT)
        assert answered.wait(20)
        assert by == [("SIGINT: saving what is finished; Ctrl-C once more to stop at once", False)]
        os.kill(os.getpid(), signal.SIGTERM)  # a scheduler may say it twice
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert len(by) == 1


def spin() -> None:
    while True:
        pass


def test_a_block_that_begins_after_the_signal_is_ended_too():
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(OutOfTime), stop.limited(None):
            spin()


def test_ctrl_c_on_the_command_line_says_so_and_leaves_130(recipe, tmp_path):
    run_it = [*COMMAND, "run", "signals.yaml", "--plain", "--out", "out", "--set", "stop.max_steps=100000"]
    said = []
    with subprocess.Popen(run_it, cwd=tmp_path, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            said.append(line)
            if "step 2/" in line:
                process.send_signal(signal.SIGINT)
    assert process.returncode == 130
    assert any("saving what is finished; Ctrl-C once more to stop at once" in line for line in said)
    assert said[-1].startswith("stopped at step ")
    assert said[-1].rstrip().endswith("go on with: tina-lite resume out")
    seen = [event for event in lines(tmp_path / "out" / "events.jsonl") if event["event"] == "notice"]
    assert any(event["text"].startswith("SIGINT") for event in seen)


def test_what_was_said_is_a_notice(recipe, tmp_path):
    seen = []

    def listener(stamped) -> None:
        seen.append(stamped.event)
        if isinstance(stamped.event, StepDone):
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted):
        run(recipe, out=tmp_path / "out", listeners=[listener])
    assert any(isinstance(event, Notice) and event.text.startswith("SIGTERM") for event in seen)
