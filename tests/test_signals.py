"""SIGTERM and Ctrl-C in every phase: obeyed at once, and what goes on is the run that nothing happened to."""

import importlib
import os
import signal
import subprocess
import threading
import time

import pytest
from from_outside import COMMAND, ENVIRONMENT
from whole_runs import STEPS, assert_alike, lines, stateful

from tina_lite import load_recipe, run
from tina_lite.recipe import to_yaml
from tina_lite.runs.events import Evaluated, StepDone
from tina_lite.runs.session import StopRequest
from tina_lite.util.errors import Interrupted
from tina_lite.util.wall_clock import OutOfTime

OBEYED_S = 5.0
"""Of this process's own time, which a busy machine does not make longer."""
PLACES = {
    "load": ("tina_lite.policy.native", "load_base", 1, 0),
    "before": ("tina_lite.rollout.sampling", "sample_tokens", 5, 0),
    "judging before": ("tina_lite.eval.scoring", "majority_share", 3, 0),
    "rollout": ("tina_lite.rollout.sampling", "sample_tokens", 60, 1),
    "reward": ("tina_lite.train.collect", "score", 1, 0),
    "resampling": ("tina_lite.data.PromptSource", "next", 3, 0),
    "update": ("tina_lite.train.learner.Learner", "_backward", 1, 0),
    "save": ("tina_lite.runs.checkpoint", "write_file", 5, STEPS),
    "after": ("tina_lite.eval.evaluator.Evaluator", "after", 1, STEPS),
    "judging after": ("tina_lite.eval.scoring", "majority_share", 11, STEPS),
}
"""At which call of what a signal comes, and the steps that are whole then."""


def owner_of(name: str) -> object:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        module, _, attribute = name.rpartition(".")
        return getattr(importlib.import_module(module), attribute)


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
def test_sigterm_is_obeyed_in_every_phase_and_the_run_goes_on_exactly(
    place, quick_recipe, tmp_path, baseline, monkeypatch
):
    name, function, number, steps = PLACES[place]
    owner, recipe, out, calls, seen = owner_of(name), stateful(quick_recipe), tmp_path / "out", [], []
    real = getattr(owner, function)

    def signalled(*arguments, **others):
        calls.append(time.process_time())
        if len(calls) == number:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(*arguments, **others)

    with monkeypatch.context() as patch:
        patch.setattr(owner, function, signalled)
        with pytest.raises(Interrupted) as caught:
            run(recipe, out=out, listeners=[lambda stamped: seen.append(stamped.event)])
        assert time.process_time() - calls[number - 1] < OBEYED_S
    assert caught.value.exit_code == 143
    whole = [event.step for event in seen if isinstance(event, StepDone)]
    assert whole == list(range(1, steps + 1)), "no step is trained on what a signal cut short"
    before = [event.problems for event in seen if isinstance(event, Evaluated) and event.when == "before"]
    assert before == ([] if "before" in place or place == "load" else [4]), "whole or absent"
    assert not any(isinstance(event, Evaluated) and event.when == "after" for event in seen)
    run(recipe, out=out, resume=True)
    assert_alike(out, baseline)


def test_a_reward_that_will_not_end_is_left_within_seconds(quick_recipe, tmp_path):
    (tmp_path / "mine.py").write_text(
        "import os, signal, time\n"
        "from pathlib import Path\n"
        "def endless(completions, **columns):\n"
        "    if len(completions) > 2:\n"
        "        Path(__file__).with_name('signalled').write_text(str(time.process_time()))\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "        while True:\n"
        "            try:\n"
        "                while True: pass\n"
        "            except Exception:\n"
        "                pass\n"
        "    return [0.0 for _ in completions]\n"
    )
    recipe = load_recipe(quick_recipe, {"rewards": ["mine.py:endless"]})
    with pytest.raises(Interrupted):
        run(recipe, out=tmp_path / "out")
    assert time.process_time() - float((tmp_path / "signalled").read_text()) < 2 * OBEYED_S


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


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_what_nohup_or_a_script_has_ignored_stays_ignored(number, monkeypatch):
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with StopRequest() as stop:
            os.kill(os.getpid(), number)
            assert not stop
            os.kill(os.getpid(), signal.SIGUSR1)
            assert stop.signal_number == signal.SIGUSR1
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, before)


def started(*words, cwd, answers=()):
    """The command's exit code and what it said; each of `answers` is a text and the signal that it is answered with."""
    said, answers = [], list(answers)
    nohup = lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)  # noqa: E731
    command = [*COMMAND, "run", "quick.yaml", "--plain", "--out", "out", *words]
    with subprocess.Popen(
        command,
        cwd=cwd,
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=nohup,
    ) as process:
        for line in process.stderr:
            said.append(line)
            if answers and answers[0][0] in line:
                process.send_signal(answers.pop(0)[1])
    assert not answers, said
    return process.returncode, said


@pytest.mark.slow
def test_one_command_serves_a_queue_that_begins_again_until_the_run_has_ended(quick_recipe, tmp_path, baseline):
    quick_recipe.write_text(to_yaml(stateful(quick_recipe)))
    sent = [("step 1/", signal.SIGHUP), ("step 2/", signal.SIGUSR1)]
    code, said = started("--resume", "auto", cwd=tmp_path, answers=sent)
    assert code == 128 + signal.SIGUSR1
    assert said[-1].startswith("stopped at step ")
    assert started("--resume=auto", cwd=tmp_path)[0] == 0
    assert_alike(tmp_path / "out", baseline)
    bill = (tmp_path / "out" / "ledger.jsonl").read_bytes()
    code, said = started("--resume", "auto", cwd=tmp_path)
    assert (code, said) == (0, ["out: has ended (max steps); there is nothing left to do\n"])
    assert (tmp_path / "out" / "ledger.jsonl").read_bytes() == bill


@pytest.mark.slow
def test_ctrl_c_on_the_command_line_says_so_and_leaves_130(quick_recipe, tmp_path):
    code, said = started("--set", "stop.max_steps=100000", cwd=tmp_path, answers=[("step 2/", signal.SIGINT)])
    assert code == 130
    assert any("saving what is finished; Ctrl-C once more to stop at once" in line for line in said)
    assert said[-1].startswith("stopped at step ")
    assert said[-1].rstrip().endswith("go on with: tina-lite resume out")
    seen = [event for event in lines(tmp_path / "out" / "events.jsonl") if event["event"] == "notice"]
    assert any(event["text"].startswith("SIGINT") for event in seen)
