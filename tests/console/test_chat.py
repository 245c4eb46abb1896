"""A chat on the screen: nothing lost, nothing that a model says does anything to the terminal."""

import io

import pytest
from rich.console import Console

from tina_lite.console.chat import Column, converse, show, show_side_by_side
from tina_lite.rollout.chat import AnswerPart
from tina_lite.util.errors import BadInput


def console(width=80, terminal=False):
    colours = "standard" if terminal else None
    return Console(file=io.StringIO(), width=width, force_terminal=terminal, highlight=False, color_system=colours)


def written(screen):
    return screen.file.getvalue()


class Scripted:
    """Answers as it is told; what is an exception is raised in the middle of the answer."""

    def __init__(self, *answers, forgotten=0):
        self._answers = iter(answers)
        self.forgotten = forgotten
        self.asked = []
        self.started_over = 0

    def ask(self, question):
        self.asked.append(question)
        for part in next(self._answers):
            if isinstance(part, BaseException):
                raise part
            yield part

    def start_over(self):
        self.started_over += 1


def questions(*lines):
    """Reads them, raises those that are exceptions, then ends."""
    waiting = iter((*lines, EOFError()))

    def read():
        line = next(waiting)
        if isinstance(line, BaseException):
            raise line
        return line

    return read


THOUGHT, ANSWERED = AnswerPart("17 + 25 = 42</think>", True), AnswerPart("\nIt is 42.", False)


def test_without_a_terminal_the_answer_is_plain_text():
    screen = console()
    converse(screen, questions("What is 17 + 25?\n"), {"trained": Scripted([THOUGHT, ANSWERED])}, greeting=False)
    assert written(screen) == "17 + 25 = 42</think>\nIt is 42.\n\n"


def test_thinking_is_dim_and_the_answer_bright():
    screen = console(terminal=True)
    show(screen, [THOUGHT, ANSWERED])
    assert "\x1b[2m17 + 25 = 42</think>\x1b[0m" in written(screen)
    assert "\n\x1b[1mIt is 42.\x1b[0m" in written(screen)


def test_what_a_model_says_does_nothing_to_the_terminal():
    screen = console()
    show(screen, [AnswerPart("\x1b[2J\x1b]0;owned\x07[bold]not markup[/bold]\u202e", False)])
    assert written(screen) == "␛[2J␛]0;owned␇[bold]not markup[/bold]\ufffd"


def test_ctrl_c_ends_the_answer_and_not_the_chat():
    chat = Scripted([THOUGHT, KeyboardInterrupt()], [ANSWERED])
    screen = console()
    converse(screen, questions("one", KeyboardInterrupt(), "two"), {"trained": chat}, greeting=False)
    assert chat.asked == ["one", "two"]
    assert "(stopped)" in written(screen)
    assert "It is 42." in written(screen)


def test_new_starts_over_and_an_empty_line_asks_nothing():
    chat = Scripted([ANSWERED])
    converse(console(), questions("", "/new", "one"), {"trained": chat}, greeting=False)
    assert (chat.asked, chat.started_over) == (["one"], 1)


def test_who_forgets_asks_each_question_by_itself():
    chat = Scripted([ANSWERED], [ANSWERED])
    converse(console(), questions("one", "two"), {"trained": chat}, greeting=False, forget=True)
    assert (chat.asked, chat.started_over) == (["one", "two"], 2)


def test_a_question_that_cannot_be_asked_is_one_line_and_the_chat_goes_on():
    chat = Scripted([BadInput("the question is too long")], [ANSWERED], forgotten=4)
    screen = console()
    converse(screen, questions("one", "two"), {"trained": chat}, greeting=False)
    assert "the question is too long\n" in written(screen)
    assert "2 earlier questions were left out" in written(screen)
    assert "It is 42." in written(screen)


def test_two_answers_stand_under_each_other_where_there_is_no_room():
    pair = {"base": Scripted([AnswerPart("41", False)]), "trained": Scripted([ANSWERED])}
    screen = console(width=99, terminal=True)
    converse(screen, questions("one"), pair, greeting=False)
    assert "│" not in written(screen)
    assert written(screen).index("41") < written(screen).index("It is 42.")


def columns_of(screen):
    rows = written(screen).splitlines()
    assert all(row[screen.width // 2] == "│" for row in rows)
    return rows


def test_two_answers_stand_side_by_side_and_each_row_fits():
    screen = console(width=101)
    long = [AnswerPart("word ", True)] * 60 + [AnswerPart("x" * 130, False), AnswerPart("\n\nend", False)]
    show_side_by_side(screen, ("base", "trained"), (iter(long), iter([THOUGHT, ANSWERED])))
    rows = columns_of(screen)
    assert all(len(row) <= 101 for row in rows)
    assert [row[:4] for row in rows if row.startswith("end")] == ["end "]
    left, right = (" ".join(row[part].strip() for row in rows) for part in (slice(0, 49), slice(52, None)))
    assert left.split().count("word") == 60
    assert left.replace(" ", "").count("x") == 130
    assert right.split() == ["trained", "17", "+", "25", "=", "42</think>", "It", "is", "42."]


def test_a_row_is_printed_as_soon_as_both_answers_have_it():
    screen = console(width=101)
    seen = []

    def watched():
        for number in range(4):
            seen.append(written(screen).count("\n"))
            yield AnswerPart(f"{number}\n", False)

    show_side_by_side(screen, ("base", "trained"), (watched(), watched()))
    assert seen == sorted(seen)
    assert seen[-1] >= 3, "nothing was shown before the end"


def test_an_answer_cut_short_is_shown_as_far_as_it_went():
    screen = console(width=101, terminal=True)
    pair = {"base": Scripted([AnswerPart("so far", False), KeyboardInterrupt()]), "trained": Scripted([THOUGHT] * 5)}
    converse(screen, questions("one"), pair, greeting=False)
    assert "so far" in written(screen)
    assert "(stopped)" in written(screen)


@pytest.mark.parametrize("cut", [1, 3, 1000])
def test_the_lines_of_a_column_do_not_depend_on_how_the_text_came(cut):
    text = "the quick brown fox jumps\n\nover " + "a" * 45 + " lazy dogs " * 6
    column = Column(console(), 20)
    pieces = [text[start : start + cut] for start in range(0, len(text), cut)]
    lines = [line.plain for piece in pieces for line in column.add(AnswerPart(piece, False))]
    lines += [line.plain for line in column.rest()]
    whole = Column(console(), 20)
    assert lines == [line.plain for line in (*whole.add(AnswerPart(text, False)), *whole.rest())]
