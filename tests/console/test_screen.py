"""What is written to a terminal: as much as has changed, in the right place."""

import io
from collections.abc import Callable

import pyte
import pytest
from rich.text import Text

from tina_lite.console.live import parts
from tina_lite.console.screen import BEGIN, CLEAR, Part, Picture, Screen, ends, framed, plain, row_of
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


def test_what_has_changed_and_no_more_is_written(terminal: Terminal, story: Story, seen: Seen) -> None:
    state, now = seen(story(steps=12)), [49.0]
    screen = Screen(terminal, lambda width, height: list(parts(state, width, height, now[0])))
    screen.redraw()
    whole = terminal.taken()
    assert whole.startswith(BEGIN + CLEAR)
    screen.redraw()
    assert terminal.taken() == ""
    now[0] = 50.0
    screen.redraw()
    tick = terminal.taken()
    assert "50 s" in tick
    assert len(tick) < len(whole) / 8


def test_changes_make_the_same_picture_as_a_whole_one(terminal: Terminal, story: Story, seen: Seen) -> None:
    events = story()
    seen_now: list[tuple[ConsoleState, float]] = [(ConsoleState(), 0.0)]

    def picture(width: int, height: int) -> list[Part]:
        state, now = seen_now[-1]
        return list(parts(state, width, height, now))

    shown = pyte.Screen(120, 34)
    stream = pyte.Stream(shown)
    screen = Screen(terminal, picture)
    for count in range(1, len(events) + 1, 3):
        seen_now.append((seen(events[:count]), events[count - 1].elapsed_s))
        screen.redraw()
        stream.feed(terminal.taken())
        fresh = pyte.Screen(120, 34)
        Screen(terminal, picture).redraw()
        pyte.Stream(fresh).feed(terminal.taken())
        assert shown.display == fresh.display


def test_a_picture_that_something_else_wrote_into_is_mended(terminal: Terminal, story: Story, seen: Seen) -> None:
    state = seen(story(steps=3))
    screen = Screen(terminal, lambda width, height: list(parts(state, width, height, 27.0)))
    shown = pyte.Screen(120, 34)
    stream = pyte.Stream(shown)
    screen.redraw()
    stream.feed(terminal.taken())
    before = list(shown.display)
    stream.feed("\x1b[12;1H a library in C writes past everyone")
    assert list(shown.display) != before
    for _ in range(20):
        screen.redraw()
    stream.feed(terminal.taken())
    assert list(shown.display) == before


def test_a_resized_terminal_is_drawn_anew(terminal: Terminal, story: Story, seen: Seen) -> None:
    state = seen(story(steps=3))
    screen = Screen(terminal, lambda width, height: list(parts(state, width, height, 27.0)))
    screen.redraw()
    terminal.taken()
    screen.console.size = (80, 24)  # type: ignore[assignment]
    screen.redraw()
    written = terminal.taken()
    assert written.startswith(BEGIN + CLEAR)
    small = pyte.Screen(80, 24)
    pyte.Stream(small).feed(written)
    assert "step 3 of 20" in small.display[2]


def test_a_part_is_drawn_again_only_when_its_key_is_another(terminal: Terminal) -> None:
    drawn: list[str] = []

    def part(key: str) -> Part:
        def draw() -> list[list[object]]:
            drawn.append(key)
            return plain([Text(key)], 10, 1)  # type: ignore[return-value]

        return Part(0, 0, 10, 1, (key,), draw)  # type: ignore[arg-type]

    keys = iter("aabba")
    screen = Screen(terminal, lambda width, height: [part(next(keys))])
    for _ in range(5):
        screen.redraw()
    assert drawn == ["a", "b", "a"]


@pytest.mark.parametrize("width", range(1, 12))
def test_a_row_is_as_wide_as_it_should_be(width: int) -> None:
    for text in (
        Text("short"),
        Text("漢字漢字漢字"),
        Text("a\nb"),
        Text.assemble(("red ", "red"), ("bold text", "bold")),
    ):
        assert sum(segment.cell_length for segment in row_of(text, width)) == width


def test_styles_overlap_as_in_rich() -> None:
    text = Text("abcd", "bold")
    text.stylize("red", 1, 3)
    found = [(segment.text, str(segment.style)) for segment in row_of(text, 4)]
    assert found == [("a", "bold"), ("bc", "bold red"), ("d", "bold")]


def test_the_left_end_of_a_line_gives_way() -> None:
    assert ends(Text("left"), Text("right"), 12).plain == "left   right"
    assert ends(Text("a long left end"), Text("right"), 12).plain == "a lon… right"


@pytest.mark.parametrize(("width", "height"), [(30, 5), (4, 2), (3, 1), (1, 4)])
def test_a_frame_has_its_size(width: int, height: int) -> None:
    rows = framed([Text("inside")] * 9, width, height, "a title that is long", "a subtitle that is long")
    assert [sum(segment.cell_length for segment in row) for row in rows] == [width] * height


def test_parts_side_by_side_are_printed_line_by_line() -> None:
    from rich.console import Console

    def column(at: int, word: str) -> Part:
        return Part(0, at, 3, 2, (word,), lambda: plain([Text(word), Text(word.upper())], 3, 2))

    console = Console(file=io.StringIO(), width=6)
    console.print(Picture([column(3, "two"), column(0, "one")]), end="")
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == "onetwo\nONETWO\n"
