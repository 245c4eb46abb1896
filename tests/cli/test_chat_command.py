"""The chat in a real pseudo-terminal and through a pipe, on the tiny base."""

import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from fcntl import ioctl

import pyte
import pytest
from click.testing import CliRunner

from tina_lite.cli.chat import chat
from tina_lite.recipe import load_recipe, to_yaml
from tina_lite.util.errors import BadInput

PATIENCE_S = 300.0
AGAIN_S = 10
"""A busy machine takes long to import torch; nothing is asserted about time."""
COMMAND = [sys.executable, "-W", "ignore", "-m", "tina_lite.cli.main", "chat"]
SUM = "Sam has 17 pens. Sam buys 25. How many pens now?"


@pytest.fixture
def run_folder(tmp_path, quick_recipe, make_policy):
    run = tmp_path / "quick"
    make_policy(spread=0.05).save_adapter(run / "adapter")
    (run / "recipe.yaml").write_text(to_yaml(load_recipe(quick_recipe)))
    return run


def test_a_model_without_adapter_has_no_base_to_compare_with():
    result = CliRunner().invoke(chat, ["builtin:tiny", "--compare"], standalone_mode=False)
    assert isinstance(result.exception, BadInput)
    assert "--compare wants a run or an adapter" in str(result.exception)


def piped(lines, *words):
    """What the command says to questions on stdin."""
    done = subprocess.run([*COMMAND, *words], input=lines, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_pipe_gets_plain_text_and_the_same_seed_the_same_answers(run_folder):
    questions = f"{SUM}\n/new\n{SUM}\n"
    said = piped(questions, str(run_folder), "--compare", "--max-completion-length", "16", "--seed", "3")
    assert "\x1b" not in said
    assert said.count("base\n") == said.count("trained\n") == 2
    assert said == piped(questions, str(run_folder), "--compare", "--max-completion-length", "16", "--seed", "3")


class Session:
    """The command on a terminal of a size."""

    def __init__(self, columns, rows, *words):
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self.process, self._terminal = self._start(columns, rows, words)

    @staticmethod
    def _start(columns, rows, words):
        ours, theirs = pty.openpty()
        ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        environment = {**os.environ, "TERM": "xterm-256color"}
        for name in ("COLUMNS", "LINES", "NO_COLOR"):
            environment.pop(name, None)
        process = subprocess.Popen(
            [*COMMAND, *words], stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True,
            preexec_fn=lambda: ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(theirs)
        return process, ours

    def send(self, keys):
        os.write(self._terminal, keys.encode())

    def wait_for(self, pattern, again=""):
        """Read until the screen shows it; as long as nothing is said, `again` is sent, as a person would."""
        deadline = time.monotonic() + PATIENCE_S
        while not re.search(pattern, "\n".join(line.rstrip() for line in self.screen.display), re.MULTILINE):
            left_s = max(0.0, deadline - time.monotonic())
            readable, _, _ = select.select([self._terminal], [], [], min(left_s, AGAIN_S) if again else left_s)
            if readable:
                self._stream.feed(os.read(self._terminal, 65536))
            else:
                assert again, "\n".join(self.screen.display)
                assert left_s, "\n".join(self.screen.display)
                self.send(again)

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self._terminal)


@pytest.fixture
def start():
    sessions = []

    def begin(*words, columns=80, rows=24):
        sessions.append(Session(columns, rows, *words))
        return sessions[-1]

    yield begin
    for session in sessions:
        session.close()


@pytest.mark.slow
def test_a_terminal_is_asked_answered_and_left(start):
    session = start("builtin:tiny", "--temperature", "0", "--max-completion-length", "32")
    session.wait_for("^>$")
    session.send("\x03")  # Ctrl-C at the prompt: goes on
    # One that arrives before readline waits for a key is taken by it with the next key only.
    session.wait_for(r"^>( \^C)?\n+>$", again="\x03")
    session.send(f"{SUM}\r")
    session.wait_for(r"boxed(.|\n)*^>$")
    row = next(at for at, line in enumerate(session.screen.display) if "boxed" in line)
    assert session.screen.buffer[row][0].bold
    session.send("\x04")
    assert session.process.wait(PATIENCE_S) == 0


@pytest.mark.slow
def test_a_wide_terminal_has_base_and_trained_side_by_side(start, run_folder):
    session = start(str(run_folder), "--compare", "--temperature", "0", "--max-completion-length", "24", columns=120)
    session.wait_for("^>$")
    session.send(f"{SUM}\r")
    session.wait_for("^base +│ trained")
    session.wait_for(r"│ .*\n+>$")
    session.send("\x04")
    assert session.process.wait(PATIENCE_S) == 0
