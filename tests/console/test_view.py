import io
import re
from collections.abc import Callable
from dataclasses import replace

import pyte
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from tina_lite.console.live import draw, draw_closing
from tina_lite.console.state import ConsoleState, History, Line, Shown, after, with_line
from tina_lite.runs.events import AlarmRaised, Stamped, StepDone

Story = Callable[..., list[Stamped]]
Seen = Callable[[list[Stamped]], ConsoleState]

HOSTILE = "[bold]x[/] [link=http://a]y[/link] :smile: \x1b[2J\x1b]0;owned\x07\x9b31m \u202eright to left\u200f \r\b\x00"
HOSTILE_TEXTS = [
    HOSTILE,
    "w" * 10_000,
    "漢" * 5_000,
    "\n" * 10_000,
    "e" + "\u0301" * 1000,
    "\ud800\ufeff",
    "\t" * 500,
    "",
]
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def render(state: ConsoleState, width: int, height: int, now: float = 0.0) -> str:
    """What goes to the terminal."""
    console = Console(file=io.StringIO(), force_terminal=True, color_system="truecolor", width=width, height=height)
    console.print(draw(state, width, height, now), end="")
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def shown(output: str, width: int, height: int) -> list[str]:
    """What the terminal shows after it."""
    screen = pyte.Screen(width, height)
    pyte.Stream(screen).feed(output.rstrip("\n").replace("\n", "\r\n"))
    assert screen.title == ""
    return list(screen.display)


@pytest.fixture
def middle(story: Story, seen: Seen) -> ConsoleState:
    return seen(story(steps=12))


def test_the_planned_pace_stands_beside_the_measured_one_after_three_steps(story: Story, seen: Seen) -> None:
    for steps, words in ((2, "2.5 s/step ·"), (3, "2.5 s/step, planned 1.9 ·")):
        state = seen(story(steps=steps, planned_step_s=1.94))
        assert words in "\n".join(shown(render(state, 80, 24, 20.0), 80, 24))


@pytest.mark.parametrize(("width", "height"), [(80, 24), (140, 40), (200, 50)])
def test_everything_that_matters_stands_on_the_screen(middle: ConsoleState, width: int, height: int) -> None:
    text = "\n".join(shown(render(middle, width, height, 49.5), width, height))
    for words in (
        "quickstart",
        "arithmetic-tiny · native on cpu (2 threads)",
        "$0.20/h (recipe)",
        "49 s · seed 1",
        "step 12 of 20",
        "12 of 20",
        "$0.0028 of $0.01",
        "29 s left, about $0.0044 at the end",
        "0.985 → 1.92",
        "accuracy",
        "0.762 → 0.894",
        "21.2 → 24.0",
        "2,140 tok/s · 2.5 s/step · 1.25 GiB peak",
        "17.6% [14.7, 20.9]",
        "What is 2+2?",
        "\\boxed{4}",
        "accuracy 1 · format - · total 3 · advantage +0.70",
        "sampling from a merged fp32 copy",
        "grad norm",
        "no variance",
        "entropy",
        "lr",
    ):
        assert words in text


@pytest.mark.parametrize(
    "size", [(80, 24), (109, 31), (110, 32), (200, 50), (40, 12), (120, 12), (20, 5), (3, 3), (1, 1)]
)
@pytest.mark.parametrize("steps", [None, 0, 1, 12, 20])
def test_the_picture_fills_the_terminal_exactly(
    story: Story, seen: Seen, size: tuple[int, int], steps: int | None
) -> None:
    state = ConsoleState() if steps is None else seen(story(steps=steps))
    lines = COLOUR.sub("", render(state, *size)).rstrip("\n").split("\n")
    assert len(lines) == size[1]
    assert all(len(line) == size[0] for line in lines)


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 50)])
def test_hostile_text_is_harmless(story: Story, seen: Seen, text: str, width: int, height: int) -> None:
    events = story(steps=12, completion=text, name=text, model=text, device=text)
    state = with_line(seen(events), Line("warning", text))
    assert state.best is not None
    hostile = replace(state.best.sample, question=text, answer=text, rewards={text: 0.0}, finish_reason="length")
    alarm = AlarmRaised(1, "reward_zero", text, text)
    state = replace(state, best=Shown(1, hostile), earlier=(Shown(1, hostile),), alarms=(alarm,))
    output = render(state, width, height, 49.0)
    assert all(char == "\n" or char >= " " for char in COLOUR.sub("", output))
    output.encode("utf-8")
    lines = shown(output, width, height)
    frame = "│╮╯" if width == 200 else "│╮╯ "
    assert {line[-1] for line in lines[2:]} <= set(frame)
    assert "step 12 of 20" in lines[2]


def test_markup_is_not_interpreted(story: Story, seen: Seen) -> None:
    text = "\n".join(shown(render(seen(story(steps=3, completion=HOSTILE)), 80, 24), 80, 24))
    assert "[bold]x[/] [link=http://a]y[/link] :smile: ␛[2J" in text


def test_a_resized_terminal_shows_the_new_picture_only(middle: ConsoleState) -> None:
    screen = pyte.Screen(140, 40)
    stream = pyte.Stream(screen)
    stream.feed(render(middle, 140, 40).rstrip("\n").replace("\n", "\r\n"))
    screen.resize(24, 80)
    small = render(middle, 80, 24).rstrip("\n").replace("\n", "\r\n")
    stream.feed("\x1b[H" + small)
    assert list(screen.display) == shown(small, 80, 24)


METRICS = ["reward", "rewards/a/mean", "entropy", "grad_norm", "kl", "learning_rate", "peak_bytes", "tokens_per_second"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(
    points=st.lists(st.dictionaries(st.sampled_from(METRICS), st.floats(width=32)), min_size=1, max_size=4),
    height=st.integers(1, 60),
)
def test_any_metric_may_be_missing_or_broken(middle: ConsoleState, points: list[dict[str, float]], height: int) -> None:
    assert middle.best is not None
    state = replace(middle, history=History())
    for step, metrics in enumerate(points, 1):
        state = after(
            state, Stamped(0.0, 49.0 + step, 0.003, StepDone(step, None, metrics, middle.best.sample)), 49.0 + step
        )
    assert len(render(state, 120, height).rstrip("\n").split("\n")) == height


def test_only_labels_are_dim(middle: ConsoleState) -> None:
    console = Console(width=140, height=40, force_terminal=True, color_system="truecolor")
    segments = console.render(draw(middle, 140, 40, 49.0), console.options.update(width=140, height=40))
    drawn = [segment for segment in segments if "█" in segment.text or "tok/s" in segment.text]
    assert len(drawn) > 9
    assert not any(segment.style and segment.style.dim for segment in drawn)


def test_many_rewards_leave_room_for_the_length(story: Story, seen: Seen) -> None:
    state = seen(story(steps=2))
    assert state.best is not None
    metrics = {f"rewards/r{index}/mean": 0.5 for index in range(12)} | {"reward": 1.0, "completions/mean_length": 33.0}
    state = after(state, Stamped(0.0, 30.0, 0.002, StepDone(3, 20, metrics, state.best.sample)), now=30.0)
    text = "\n".join(shown(render(state, 80, 24), 80, 24))
    assert "length" in text
    assert "more in a taller window" in text


def test_values_out_of_their_range_are_marked_without_colour_too(story: Story, seen: Seen) -> None:
    state = seen(story(steps=2))
    assert state.best is not None
    metrics = {"reward": 1.0, "grad_norm": 7.0, "entropy": 0.4, "frac_reward_zero_std": 0.9}
    state = after(state, Stamped(0.0, 30.0, 0.002, StepDone(3, 20, metrics, state.best.sample)), now=30.0)
    text = "\n".join(shown(render(state, 140, 40), 140, 40))
    assert "7.00 !" in text
    assert "90% !" in text
    assert "0.400 !" not in text


@pytest.mark.parametrize("width", [20, 39, 40, 80])
def test_what_stays_at_the_end_says_what_was_gained_for_which_price(story: Story, seen: Seen, width: int) -> None:
    console = Console(file=io.StringIO(), width=width, height=24)
    console.print(draw_closing(seen(story()), width))
    assert isinstance(console.file, io.StringIO)
    text = " ".join(console.file.getvalue().replace("│", "").split())
    for words in (
        "quickstart has ended",
        "max steps",
        "17.6% [14.7, 20.9] → 86.1% [83.2, 88.7], +68.5 points",
        "0.985 first, 2.60 last, 2.60 best (step 20)",
        "20 in 1 min 21 s",
        "$0.0045 of $0.01 at $0.20/h",
        "rollout $0.0022, eval $0.0012, update $0.0007, load $0.0005",
        "61,440 sampled, 40,000 trained on",
        "runs/quickstart",
    ):
        assert words in text
    assert all(len(line) <= width for line in console.file.getvalue().splitlines())


@pytest.mark.parametrize("summary", [{}, {"eval": {"before": {"pass_at_1": 0.2}, "after": None}, "reward": None}])
def test_a_summary_with_holes_can_be_drawn(story: Story, seen: Seen, summary: dict[str, object]) -> None:
    console = Console(file=io.StringIO(), width=80)
    console.print(draw_closing(replace(seen(story()), summary=summary), 80))
