"""What is written to a terminal: the whole picture, in the right place, each time."""

import io
from collections.abc import Callable

import pyte
import pytest
from rich.console import Console
from rich.text import Text

from tina_lite.console.live import draw
from tina_lite.console.screen import BEGIN, END, Screen, column, ends, framed, plain
from tina_lite.console.state import ConsoleState
from tina_lite.runs.events import Stamped

Story = Callable[..., list[Stamped]]
Seen = Callable[[list[Stamped]], ConsoleState]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def taken(self) -> str:
        """What was written since the last time."""
        text = self.getvalue()
        self.seek(0)
        self.truncate()
        return text


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    for name, value in {"TERM": "xterm-256color", "COLUMNS": "120", "LINES": "34"}.items():
        monkeypatch.setenv(name, value)
    return Terminal()


def test_a_picture_that_something_else_wrote_into_is_mended(terminal: Terminal, story: Story, seen: Seen) -> None:
    state = seen(story(steps=3))
    screen = Screen(terminal, lambda width, height: draw(state, width, height, 27.0))
    shown = pyte.Screen(120, 34)
    stream = pyte.Stream(shown)
    screen.open()
    written = terminal.taken()
    assert written.endswith(END)
    assert BEGIN in written
    stream.feed(written.replace("\n", "\r\n"))
    before = list(shown.display)
    assert "step 3 of 20" in before[2]
    stream.feed("\x1b[12;1H a library in C writes past everyone")
    assert list(shown.display) != before
    screen.redraw()
    stream.feed(terminal.taken().replace("\n", "\r\n"))
    assert list(shown.display) == before
    screen.close()
    assert terminal.taken().endswith("\x1b[?1049l"), "the terminal as it was"


def test_a_resized_terminal_is_drawn_anew(terminal: Terminal, story: Story, seen: Seen) -> None:
    state = seen(story(steps=3))
    screen = Screen(terminal, lambda width, height: draw(state, width, height, 27.0))
    screen.open()
    terminal.taken()
    screen.console.size = (80, 24)  # type: ignore[assignment]
    screen.redraw()
    small = pyte.Screen(80, 24)
    pyte.Stream(small).feed(terminal.taken().replace("\n", "\r\n"))
    assert "step 3 of 20" in small.display[2]
    screen.close()


def test_the_left_end_of_a_line_gives_way() -> None:
    assert ends(Text("left"), Text("right"), 12).plain == "left   right"
    assert ends(Text("a long left end"), Text("right"), 12).plain == "a lon… right"


@pytest.mark.parametrize(("width", "height"), [(30, 5), (12, 3), (8, 2)])
def test_a_frame_has_its_size(width: int, height: int) -> None:
    box = framed([Text("inside")] * 9, height, "a title that is long", "a subtitle that is long")
    console = Console(width=width)
    lines = console.render_lines(box, console.options.update(width=width, height=height))
    assert [sum(segment.cell_length for segment in line) for line in lines] == [width] * height


def test_a_line_is_cut_and_never_torn() -> None:
    console = Console(width=6, height=3, file=io.StringIO())
    console.print(column((plain([Text("one\ntwo three"), Text("漢字漢字")], 2), 3)), end="")
    assert console.file.getvalue().splitlines() == ["one t…", "漢字 …", " " * 6]  # type: ignore[attr-defined]
