import io
import re
import sys
from collections.abc import Callable

import pyte
import pytest
from rich.console import Console

from tina_lite.console import LiveConsole
from tina_lite.console.live import LONGEST_LINE, Printed
from tina_lite.runs.events import Stamped

Story = Callable[..., list[Stamped]]
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
LEAVE_ALTERNATE_SCREEN = "\x1b[?1049l"


class Terminal(io.StringIO):
    """A terminal's output, as far as Rich asks."""

    def isatty(self) -> bool:
        return True

    def after_the_picture(self) -> str:
        return COLOUR.sub("", self.getvalue().partition(LEAVE_ALTERNATE_SCREEN)[2])


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    for name, value in {"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}.items():
        monkeypatch.setenv(name, value)
    return Terminal()


def test_it_leaves_the_terminal_as_it_was_with_the_summary(terminal: Terminal, story: Story) -> None:
    with LiveConsole(terminal, clock=lambda: 0.0) as console:
        for stamped in story():
            console(stamped)
    output = terminal.getvalue()
    assert output.index("\x1b[?1049h") < output.index(LEAVE_ALTERNATE_SCREEN)
    assert output.rindex("\x1b[?25l") < output.rindex("\x1b[?25h")  # the cursor is back
    assert "quickstart has ended" in terminal.after_the_picture()
    assert "86.1%" in terminal.after_the_picture()


def test_an_error_restores_the_terminal_and_goes_on_its_way(terminal: Terminal, story: Story) -> None:
    stdout, stderr = sys.stdout, sys.stderr

    def broken_run() -> None:
        with LiveConsole(terminal, clock=lambda: 0.0) as console:
            console(story()[0])
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        broken_run()
    assert (sys.stdout, sys.stderr) == (stdout, stderr)
    assert LEAVE_ALTERNATE_SCREEN in terminal.getvalue()
    assert terminal.after_the_picture() == ""


def test_prints_become_lines_of_the_picture_and_are_written_out_at_the_end(terminal: Terminal, story: Story) -> None:
    with LiveConsole(terminal, clock=lambda: 0.0) as console:
        console(story()[0])
        print("a reward function speaks \x1b[2J")
        sys.stderr.write("loading 1%\rloading 100%\n")
        drawn = rendered(console)
        kept = sys.stderr
    assert "> a reward function speaks ␛[2J" in drawn
    assert "> loading 100%" in drawn
    assert terminal.after_the_picture().count("a reward function speaks ␛[2J\nloading 100%\n") == 1
    kept.write("from a logger that kept the stream\n")
    assert terminal.getvalue().endswith("from a logger that kept the stream\n")


def test_only_the_last_prints_are_written_out(terminal: Terminal) -> None:
    with LiveConsole(terminal, clock=lambda: 0.0):
        for index in range(30):
            print("line", index)
    assert "(10 earlier lines were printed; --plain shows them all)\nline 10\n" in terminal.after_the_picture()
    assert "line 9\n" not in terminal.after_the_picture()


def test_the_dollars_tick_between_events(terminal: Terminal, story: Story) -> None:
    now = [0.0]
    with LiveConsole(terminal, clock=lambda: now[0]) as console:
        for stamped in story(steps=4):
            console(stamped)
        assert "$0.0017 of $0.01" in rendered(console)
        now[0] = 18.0
        assert "$0.0027 of $0.01" in rendered(console)


def test_events_and_prints_draw_nothing_themselves(terminal: Terminal, story: Story) -> None:
    """The drawing thread alone draws, twice a second, however fast events come."""
    console = LiveConsole(terminal, clock=lambda: 0.0)
    for stamped in story():
        console(stamped)
    assert terminal.getvalue() == ""


def test_a_terminal_that_went_away_does_not_end_the_run(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(text: str) -> int:
        raise OSError("input/output error")

    with LiveConsole(terminal, clock=lambda: 0.0):
        monkeypatch.setattr(terminal, "write", gone)
    assert not terminal.after_the_picture()


def rendered(console: LiveConsole) -> str:
    """The picture as a terminal of 80 x 24 shows it."""
    output = io.StringIO()
    Console(file=output, force_terminal=True, width=80, height=24).print(console.picture(80, 24), end="")
    screen = pyte.Screen(80, 24)
    pyte.Stream(screen).feed(output.getvalue().rstrip("\n").replace("\n", "\r\n"))
    return "\n".join(screen.display)


def test_a_progress_bar_without_an_end_is_kept_no_longer_than_can_be_shown() -> None:
    shown: list[str] = []
    printed = Printed(io.StringIO(), shown.append)
    for number in range(8000):
        printed.write(f"\rreward {number} of 8000 " + "#" * 20)
    assert len(printed._unfinished) < 100
    printed.write("x" * 100_000)
    assert len(printed._unfinished) <= LONGEST_LINE
    printed.write("\rdone\n")
    assert shown == ["done"]
