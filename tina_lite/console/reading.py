"""What is there to read: completions with what they were worth, alarms with what to try, notices."""

from collections.abc import Sequence

from rich.cells import cell_len
from rich.text import Text

from tina_lite.console.frame import DIM, FRAME_CELLS, FRAME_ROWS, Row, framed, plain
from tina_lite.console.state import Line, Shown
from tina_lite.console.text import fold, one_line
from tina_lite.console.why import why_nothing
from tina_lite.health import Alarm
from tina_lite.runs.events import Sample

WARN = "yellow"
LINE_ROWS_MOST = 2
QUESTION_ROWS_MOST = 8
ROWS_FOR_A_GAP = 8
ROWS_FOR_WHY = 6
LINE_MARKS = {"info": ("·", DIM), "warning": ("!", WARN), "printed": (">", DIM)}


def draw_sample(shown: Shown | None, kind: str, width: int, height: int) -> list[Row]:
    """A question, what the model made of it, what that was worth, and why it got nothing where it did not."""
    if shown is None:
        return framed([Text("the first completion comes with the first step", DIM)], width, height, kind)
    sample = shown.sample
    inside, room = width - FRAME_CELLS, height - FRAME_ROWS
    why = why_nothing(sample) if room >= ROWS_FOR_WHY else ""
    reasons = fold(why, inside, 2)
    room -= len(reasons)
    question = paragraph(sample.question, inside, min(QUESTION_ROWS_MOST, room // 2))
    gap = [Text()] if room >= ROWS_FOR_A_GAP else []
    answer = paragraph(sample.completion, inside, room - len(question) - len(gap))
    lines = [*(Text(line, "cyan") for line in question), *gap, *map(Text, answer)]
    lines += [Text()] * (room - len(lines)) + [Text(line, WARN) for line in reasons]
    cut = "" if sample.finish_reason == "stop" else ", cut off"
    return framed(lines, width, height, f"{kind}, step {shown.step}{cut}", worth(sample, inside))


def paragraph(text: str, width: int, rows: int) -> list[str]:
    """With its line ends where there is room for them."""
    lines = fold(text, width, rows + 1)
    return lines if len(lines) <= rows else fold(one_line(text), width, rows)


def worth(sample: Sample, width: int) -> str:
    """As much as fits.

    >>> sample = Sample("1+1?", "2", "2", {"accuracy": 1.0, "format": None}, 2.0, 0.71, "stop")
    >>> worth(sample, 60), worth(sample, 40)
    ('accuracy 1 · format - · total 2 · advantage +0.71 · gold 2', 'accuracy 1 · format - · total 2')
    """
    rewards = [f"{one_line(name)} {'-' if v is None else f'{v:.3g}'}" for name, v in sample.rewards.items()]
    gold = "".join(fold(one_line(sample.answer), 20, 1))
    parts = [*rewards, f"total {sample.total:.3g}", f"advantage {sample.advantage:+.2f}", f"gold {gold}"]
    while parts and cell_len(" · ".join(parts)) > width:
        parts.pop()
    return " · ".join(parts)


def alarm_rows(alarms: Sequence[Alarm], width: int, most: int) -> int:
    """How many rows the box of alarms takes; 0 where nothing is amiss."""
    lines = len(_alarm_lines(alarms, width - FRAME_CELLS))
    return min(most, lines + FRAME_ROWS) if lines else 0


def draw_alarms(alarms: Sequence[Alarm], width: int, height: int) -> list[Row]:
    return framed(_alarm_lines(alarms, width - FRAME_CELLS), width, height, "health")


def _alarm_lines(alarms: Sequence[Alarm], width: int) -> list[Text]:
    lines: list[Text] = []
    for alarm in alarms:
        for text, mark, style in ((alarm.words, "!", f"bold {WARN}"), (f"try {alarm.advice}", " ", "")):
            folded = fold(text, width - 2, LINE_ROWS_MOST)
            lines += [Text(f"{' ' if index else mark} {line}", style) for index, line in enumerate(folded)]
    return lines


def draw_notices(lines: Sequence[Line], alarms: Sequence[Alarm], width: int, height: int, boxed: bool) -> list[Row]:
    """The latest notices, the newest last. Without a box, alarms stand before them, each in a line."""
    if boxed:
        return framed(_notices(lines, width - FRAME_CELLS, height - FRAME_ROWS), width, height, "notices")
    shown = [
        Text(f" {' ' if index else '!'} {line}", WARN)
        for alarm in alarms
        for index, line in enumerate(fold(f"{alarm.words}: try {alarm.advice}", width - 4, LINE_ROWS_MOST))
    ][:height]
    return plain([*shown, *_notices(lines, width - 1, height - len(shown))], width, height)


def _notices(lines: Sequence[Line], width: int, room: int) -> list[Text]:
    shown: list[Text] = []
    for line in reversed(lines):
        if len(shown) >= room:
            break
        mark, style = LINE_MARKS[line.level]
        folded = fold(one_line(line.text), width - 3, min(LINE_ROWS_MOST, room - len(shown)))
        shown = [Text(f" {' ' if index else mark} {text}", style) for index, text in enumerate(folded)] + shown
    return shown
