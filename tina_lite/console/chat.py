"""A chat as a person sees it: thinking dim, the answer bright, two answers side by side where the terminal is wide.

What is printed is only ever appended: nothing is drawn over, so that it can be scrolled back to and copied. What a
model says is cleaned, so that it can do nothing to the terminal.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import zip_longest

from rich.console import Console
from rich.text import Text

from tina_lite.console.text import clean
from tina_lite.rollout.chat import AnswerPart, Chat, together
from tina_lite.util.errors import BadInput

THINKING, ANSWER, FRAME = "dim", "bold", "dim bright_black"
WIDE_ENOUGH = 100
"""Columns from which two answers stand side by side."""
START_OVER = "/new"


def styled(part: AnswerPart) -> Text:
    return Text(clean(part.text), THINKING if part.thinking else ANSWER)


def show(console: Console, parts: Iterable[AnswerPart]) -> None:
    """Show one answer as it grows."""
    for part in parts:
        console.print(styled(part), end="", soft_wrap=True, highlight=False)
        console.file.flush()


class Column:
    """An answer as lines of a width; a line is given out once nothing can change it any more."""

    def __init__(self, console: Console, width: int) -> None:
        self._console = console
        self._width = width
        self._paragraph = Text()

    def add(self, part: AnswerPart) -> Iterator[Text]:
        """The lines that are whole now."""
        self._paragraph.append(styled(part))
        *whole, self._paragraph = self._paragraph.split("\n", allow_blank=True)
        for paragraph in whole:
            yield from self._wrapped(paragraph)
        *lines, last = self._wrapped(self._paragraph)
        if lines:
            yield from lines
            self._paragraph = last

    def rest(self) -> list[Text]:
        return self._wrapped(self._paragraph)

    def _wrapped(self, text: Text) -> list[Text]:
        return list(text.wrap(self._console, self._width)) or [Text()]


def show_side_by_side(
    console: Console, names: tuple[str, str], answers: tuple[Iterator[AnswerPart], Iterator[AnswerPart]]
) -> None:
    """Two answers in columns, a row as soon as both have it."""
    width = (console.width - 3) // 2
    columns = [Column(console, width) for _ in names]
    lines: list[list[Text]] = [[Text(name, "bold underline")] for name in names]
    try:
        for number, part in together(*answers):
            lines[number] += columns[number].add(part)
            while all(lines):
                _print_row(console, width, lines[0].pop(0), lines[1].pop(0))
    finally:  # an answer that was cut short is shown as far as it went
        ends = [waiting + column.rest() for waiting, column in zip(lines, columns, strict=True)]
        for left, right in zip_longest(*ends, fillvalue=Text()):
            _print_row(console, width, left, right)


def _print_row(console: Console, width: int, left: Text, right: Text) -> None:
    left.truncate(width, pad=True)
    console.print(Text.assemble(left, (" │ ", FRAME), right), soft_wrap=True, highlight=False)


def converse(
    console: Console, read: Callable[[], str], chats: dict[str, Chat], *, greeting: bool, forget: bool = False
) -> None:
    """Ask and answer until `read` raises EOFError. Ctrl-C ends an answer, not the chat.

    `chats` holds one, or two by their names, which answer the same questions; `forget` begins anew with each.
    """
    if greeting:
        said = f"Ctrl-C ends an answer, Ctrl-D the chat; {START_OVER} forgets what was said"
        console.print(Text(said, THINKING))
    while True:
        try:
            question = read().strip()
        except EOFError:
            return
        except KeyboardInterrupt:
            console.print()
            continue
        if forget or question == START_OVER:
            for chat in chats.values():
                chat.start_over()
        if question and question != START_OVER:
            answer(console, question, chats)


def answer(console: Console, question: str, chats: dict[str, Chat]) -> None:
    """Put one question to every chat."""
    try:
        if len(chats) > 1 and console.is_terminal and console.width >= WIDE_ENOUGH:
            first, second = chats
            with closing(chats[first].ask(question)) as left, closing(chats[second].ask(question)) as right:
                show_side_by_side(console, (first, second), (left, right))
        else:
            for name, chat in chats.items():
                if len(chats) > 1:
                    console.print(Text(name, "bold underline"))
                with closing(chat.ask(question)) as parts:
                    show(console, parts)
                console.print()
    except KeyboardInterrupt:
        console.print(Text("\n(stopped)", THINKING))
    except BadInput as error:
        console.print(Text(clean(str(error)), "yellow"), soft_wrap=True)
    forgotten = max(chat.forgotten for chat in chats.values())
    if forgotten:
        console.print(Text(f"(the context is full: {forgotten // 2} earlier questions were left out)", THINKING))
    console.print()
