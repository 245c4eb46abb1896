"""The console in a real pseudo-terminal, as pyte shows it: sizes, resizing, hostile text, and what stays at the end."""

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pyte
import pytest

from tina_lite.console.keys import HELP
from tina_lite.console.screen import END
from tina_lite.runs.events import Stamped, StepDone

Story = Callable[..., list[Stamped]]
pytestmark = pytest.mark.slow

LIMIT_S = 60.0
LEAVE_ALTERNATE_SCREEN = b"\x1b[?1049l"
HOSTILE = (
    "[bold]x[/] \x1b[2J\x1b]0;owned\x07\x9b31m \u202eright to left\u200f \r\b\x00 漢字漢字 e\u0301\u0301\u0301 \ud800 "
    * 20
)
DRIVER = """
import json, sys
from tina_lite.console.live import LiveConsole
from tina_lite.console.screen import END
from tina_lite.runs.events import from_json
*told, last = [from_json(json.loads(line)) for line in open(sys.argv[1], encoding="utf-8")]
with LiveConsole() as console:
    for stamped in told:
        console(stamped)
    print("a reward speaks", chr(27) + "[2J")
    sys.stdin.readline()
    console(last)
"""


class Window:
    """A terminal window with a program in it."""

    def __init__(self, command: list[str], width: int, height: int) -> None:
        self._master, slave = pty.openpty()
        self.screen = pyte.Screen(width, height)
        self._stream = pyte.ByteStream(self.screen)
        self.written = b""
        self._size(width, height)
        environment = {
            name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")
        }
        self.process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env=environment | {"TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8", "COLUMNS": "33", "LINES": "7"},
        )
        os.close(slave)

    def resize(self, width: int, height: int) -> None:
        self.screen.resize(height, width)
        self._size(width, height)
        self.process.send_signal(signal.SIGWINCH)

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def until(self, holds: Callable[[str], bool]) -> list[str]:
        """Read until the screen shows it, at the end of a redraw."""
        deadline = time.monotonic() + LIMIT_S
        while not (self.written.endswith(END.encode()) and holds("\n".join(self.screen.display))):
            assert time.monotonic() < deadline, "\n".join(self.screen.display)
            self._read()
        return list(self.screen.display)

    def ends(self) -> int:
        """Read to the end; the exit code."""
        deadline = time.monotonic() + LIMIT_S
        while self._read():
            assert time.monotonic() < deadline
        return self.process.wait(LIMIT_S)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._master], [], [], 0.5)
        if not ready:
            return True
        try:
            data = os.read(self._master, 65536)
        except OSError:  # the program has closed the terminal
            return False
        self.written += data
        self._stream.feed(data)
        return bool(data)

    def _size(self, width: int, height: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)


@pytest.fixture
def open_window() -> Iterator[Callable[..., Window]]:
    windows: list[Window] = []

    def open_one(command: list[str], width: int, height: int) -> Window:
        windows.append(Window(command, width, height))
        return windows[-1]

    yield open_one
    for window in windows:
        window.close()


@pytest.fixture
def hostile_run(tmp_path: Path, story: Story) -> Path:
    """A run folder whose texts would take the terminal over."""
    lines = []
    for stamped in story(completion=HOSTILE, name=f"run {HOSTILE}", device=HOSTILE):
        record = stamped.to_json()
        if isinstance(stamped.event, StepDone):
            record["sample"] |= {"question": HOSTILE, "answer": HOSTILE, "rewards": {HOSTILE: 0.0}}
            record["typical"] = record["sample"]
        if record["event"] != "progress":
            lines.append(json.dumps(record))
    lines.insert(5, '{"event": "levitated", "at": 1}')
    (tmp_path / "events.jsonl").write_text("\n".join(lines) + "\n")
    return tmp_path


def whole(display: list[str]) -> bool:
    """Every box is closed at its right edge, all the way down."""
    return {line[-1] for line in display[2:]} <= set("│╮╯ ") and sum(line[-1] == "╮" for line in display) >= 3


@pytest.mark.parametrize(("size", "then"), [((80, 24), (200, 50)), ((200, 50), (80, 24))])
def test_hostile_text_and_a_resize_do_no_harm_to_a_watched_run(
    open_window: Callable[..., Window], hostile_run: Path, size: tuple[int, int], then: tuple[int, int]
) -> None:
    window = open_window([sys.executable, "-m", "tina_lite.cli.main", "watch", str(hostile_run)], *size)
    display = window.until(lambda text: "step 20 of 20" in text and "finished" in text)
    assert whole(display)
    assert window.screen.title == ""
    assert b"\x07" not in window.written
    assert ("notices" in "\n".join(display)) == (size[0] == 200)
    window.resize(*then)
    display = window.until(lambda text: ("notices" in text) == (then[0] == 200) and "step 20 of 20" in text)
    assert len(display) == then[1]
    assert whole(display)
    window.press("q")
    assert window.ends() == 0
    stays = window.written.rpartition(LEAVE_ALTERNATE_SCREEN)[2].decode()
    assert "86.1%" in stays
    assert "has ended" in stays
    assert window.written.rindex(b"\x1b[?25h") > window.written.rindex(b"\x1b[?25l")


def contains(words: str, text: str) -> bool:
    return words in text


@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
def test_the_runs_own_console_survives_resizing_and_leaves_a_clean_screen(
    open_window: Callable[..., Window], hostile_run: Path, size: tuple[int, int]
) -> None:
    events = hostile_run / "events.jsonl"
    events.write_text("".join(line for line in events.read_text().splitlines(keepends=True) if "levit" not in line))
    window = open_window([sys.executable, "-c", DRIVER, str(events)], *size)
    window.until(lambda text: "step 20 of 20" in text)
    for width, height in ((30, 8), (120, 34), (81, 25)):
        window.resize(width, height)
        wanted = "steps 20 of 20" if width == 30 else "step 20 of 20"
        display = window.until(partial(contains, wanted))
    assert whole(display)
    window.press("\n")
    assert window.ends() == 0
    stays = window.written.rpartition(LEAVE_ALTERNATE_SCREEN)[2].decode()
    assert stays.count("a reward speaks") == 1
    assert "\x1b[2J" not in stays
    assert "has ended" in stays


def test_a_run_told_again_ends_with_q_or_ctrl_c(open_window: Callable[..., Window], hostile_run: Path) -> None:
    command = [sys.executable, "-m", "tina_lite.cli.main", "watch", str(hostile_run), "--replay", "200x"]
    for key in ("q", "\x03"):
        window = open_window(command, 120, 34)
        window.until(lambda text: "told again, 200x" in text and "finished" in text)
        if key == "q":
            window.press(key)
        else:
            window.process.send_signal(signal.SIGINT)
        assert window.ends() == 0


def test_keys_name_themselves_and_show_earlier_samples(open_window: Callable[..., Window], hostile_run: Path) -> None:
    window = open_window([sys.executable, "-m", "tina_lite.cli.main", "watch", str(hostile_run)], 160, 34)
    window.until(partial(contains, "?: help"))
    window.press("?")
    window.until(partial(contains, HELP))
    window.press("sss")
    display = window.until(lambda text: "a typical one, step 18" in text)
    assert "the best so far" not in "\n".join(display)
    window.press("q")
    assert window.ends() == 0
