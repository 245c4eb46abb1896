import io
import json
import math
from collections.abc import Callable

import pytest

from tina_lite.console import JsonConsole, LiveConsole, PlainConsole, choose
from tina_lite.runs.events import Progress, Stamped, StepDone, from_json

Story = Callable[..., list[Stamped]]
TERMINAL = {"TERM": "xterm-256color"}


class Stream(io.TextIOWrapper):
    def __init__(self, terminal: bool = False, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding=encoding)
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal

    def lines(self) -> list[str]:
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue().decode(self.encoding).splitlines()


def test_plain_lines_tell_the_run(story: Story) -> None:
    stream = Stream()
    with PlainConsole(stream) as console:
        for stamped in story():
            console(stamped)
    lines = stream.lines()
    assert lines[0] == (
        "0:00:01  tina-lite 0.1.0: quickstart, base/arithmetic-tiny, native on cpu (2 threads), $0.20/h (recipe), "
        "at most $0.01, 20 steps, seed 1, runs/quickstart"
    )
    assert lines[2] == (
        "0:00:19  arithmetic before training: Pass@1 17.6% [14.7, 20.9], 200 problems x 4, length 21.0, $0.0011"
    )
    assert lines[3] == (
        "0:00:21  step 1/20  reward 0.985  accuracy 0.135  format 0.762  length 21.2  no-variance 0.115  "
        "grad-norm 0.300  2,140 tok/s  $0.0012  57 s left"
    )
    assert sum("  step " in line for line in lines) == 20
    assert "0:01:20  checkpoint of step 20: runs/quickstart/checkpoints/step-000020 (0.3 s)" in lines
    assert lines[-8:] == [
        "0:01:21  ended by: max steps",
        "0:01:21  held-out Pass@1: 17.6% [14.7, 20.9] -> 86.1% [83.2, 88.7], +68.5 points",
        "0:01:21  reward: 0.985 first, 2.60 last, 2.60 best (step 20)",
        "0:01:21  steps: 20 in 1 min 21 s",
        "0:01:21  dollars: $0.0045 of $0.01 at $0.20/h",
        "0:01:21  spent on: rollout $0.0022, eval $0.0012, update $0.0007, load $0.0005",
        "0:01:21  tokens: 61,440 sampled, 40,000 trained on, 6,000 of prompts",
        "0:01:21  folder: runs/quickstart",
    ]


def test_plain_lines_hold_no_control_characters(story: Story) -> None:
    stream = Stream(encoding="ascii")
    console = PlainConsole(stream)
    for stamped in story(name="\x1b[31mred\x07\nsecond line é\u202e"):
        console(stamped)
    assert all(" " <= char <= "~" for line in stream.lines() for char in line)
    assert "?[31mred? ? second line ??" in stream.lines()[0]


def test_json_lines_can_be_read_back(story: Story) -> None:
    stream = Stream()
    with JsonConsole(stream) as console:
        for stamped in story():
            console(stamped)
    told = [stamped for stamped in story() if not isinstance(stamped.event, Progress)]
    read = [from_json(json.loads(line)) for line in stream.lines()]
    assert [stamped.event for stamped in read] == [stamped.event for stamped in told]


def test_json_lines_are_json_whatever_happened(story: Story) -> None:
    stream = Stream(encoding="ascii")
    step = story(steps=1)[-1].event
    assert isinstance(step, StepDone)
    JsonConsole(stream)(Stamped(0.0, 0.0, 0.0, StepDone(1, None, {"loss": math.nan, "é\ud800": 1.0}, step.sample)))
    [line] = stream.lines()
    assert json.loads(line, parse_constant=pytest.fail)["metrics"] == {"loss": None, "é\ud800": 1.0}


@pytest.mark.parametrize("kind", [JsonConsole, PlainConsole])
def test_each_line_is_there_at_once(story: Story, kind: type[JsonConsole | PlainConsole]) -> None:
    stream = Stream()
    kind(stream)(story()[0])
    assert len(stream.lines()) == 1


@pytest.mark.parametrize("kind", [JsonConsole, PlainConsole])
def test_a_reader_that_leaves_does_not_end_the_run(story: Story, kind: type[JsonConsole | PlainConsole]) -> None:
    class Closed(Stream):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    kind(Closed())(story()[0])


@pytest.mark.parametrize(
    ("arguments", "environ", "stdout", "stderr", "kind"),
    [
        ({}, TERMINAL, Stream(True), Stream(True), LiveConsole),
        ({"json": True}, TERMINAL, Stream(True), Stream(True), JsonConsole),
        ({"json": True, "plain": True}, TERMINAL, Stream(), Stream(), JsonConsole),
        ({"plain": True}, TERMINAL, Stream(True), Stream(True), PlainConsole),
        ({}, TERMINAL | {"NO_COLOR": "1"}, Stream(True), Stream(True), PlainConsole),
        ({}, TERMINAL | {"NO_COLOR": ""}, Stream(True), Stream(True), LiveConsole),
        ({}, {"TERM": "dumb"}, Stream(True), Stream(True), PlainConsole),
        ({}, TERMINAL, Stream(), Stream(True), PlainConsole),
        ({}, TERMINAL, Stream(True), Stream(), PlainConsole),
        ({}, TERMINAL, Stream(True), Stream(True, "latin-1"), PlainConsole),
    ],
)
def test_the_console_suits_the_place(
    arguments: dict[str, bool], environ: dict[str, str], stdout: Stream, stderr: Stream, kind: type
) -> None:
    chosen = choose(**({"plain": False, "json": False} | arguments), environ=environ, stdout=stdout, stderr=stderr)
    assert type(chosen) is kind


def test_json_goes_to_stdout_and_plain_lines_to_stderr(story: Story) -> None:
    stdout, stderr = Stream(), Stream()
    choose(plain=False, json=True, environ={}, stdout=stdout, stderr=stderr)(story()[0])
    assert (len(stdout.lines()), len(stderr.lines())) == (1, 0)
    choose(plain=True, json=False, environ={}, stdout=stdout, stderr=stderr)(story()[0])
    assert (len(stdout.lines()), len(stderr.lines())) == (1, 1)
