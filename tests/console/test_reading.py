import io
from dataclasses import replace

import pytest
from rich.console import Console, RenderableType

from tina_lite.console.lines import why_nothing
from tina_lite.console.panels import alarm_rows, draw_alarms, draw_notices, draw_sample
from tina_lite.console.state import Line, Shown
from tina_lite.runs.events import AlarmRaised, Sample

RIGHT = Sample("1+1?", "2", "1+1=2\n</think>\n\\boxed{2}", {"accuracy": 1.0, "format": 1.0}, 3.0, 0.7, "stop")
ALARM = AlarmRaised(
    9, "clipped", "95% of the completions are cut off before their answer", "a longer max_completion_length"
)


def text(drawn: RenderableType, width: int) -> list[str]:
    console = Console(width=width, file=io.StringIO())
    console.print(drawn)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({}, ""),
        ({"rewards": {"accuracy": 0.0}, "completion": "\\boxed{3}"}, "its answer is 3, the gold 2"),
        ({"rewards": {"accuracy": 0.0}, "completion": "three"}, "no \\boxed{} answer, the gold is 2"),
        ({"rewards": {"accuracy": None}}, "accuracy could not judge it"),
        ({"rewards": {"format": 0.0}, "completion": "2"}, "no </think> on a line of its own"),
        ({"rewards": {"format": 0.0}, "completion": "</think>" * 3}, "3 times </think>, wanted is one"),
        ({"rewards": {"mine": 0.0}}, "mine gave 0"),
        ({"rewards": {"mine": 0.0}, "finish_reason": "length"}, "cut off at its length limit; mine gave 0"),
        ({"rewards": {"mine": 0.0}, "completion": " \n"}, "it is empty; mine gave 0"),
    ],
)
def test_why_a_completion_got_nothing(changes: dict[str, object], reasons: str) -> None:
    assert why_nothing(replace(RIGHT, **changes)) == reasons  # type: ignore[arg-type]


def test_a_sample_that_got_nothing_says_why_and_one_that_did_not_keeps_silent() -> None:
    wrong = replace(RIGHT, rewards={"accuracy": 0.0, "format": 1.0}, completion="1+1=3\n</think>\n\\boxed{3}")
    assert "│ its answer is 3, the gold 2" in "\n".join(text(draw_sample(Shown(4, wrong), "a typical one", 60, 14), 60))
    assert "the gold 2" not in "\n".join(text(draw_sample(Shown(4, RIGHT), "the best so far", 60, 14), 60))


def test_an_alarm_has_its_words_and_what_to_try() -> None:
    rows = text(draw_alarms([ALARM], 80, alarm_rows([ALARM], 80, most=10)), 80)
    assert len(rows) == 4
    assert rows[1].startswith("│ ! 95% of the completions")
    assert rows[2].startswith("│   try a longer max_completion_length")
    assert alarm_rows([], 80, most=10) == 0


def test_without_a_box_an_alarm_stands_before_the_notices() -> None:
    rows = text(draw_notices([Line("info", "older"), Line("info", "newest")], [ALARM], 120, 2, boxed=False), 120)
    assert rows[0].startswith(" ! 95% of the completions")
    assert rows[1].strip() == "· newest"
