"""Keys change how a picture is looked at, and nothing of the run."""

from collections.abc import Callable
from typing import Any

from tina_lite.console.keys import HELP, View
from tina_lite.console.state import ConsoleState

Story = Seen = Callable[..., Any]


def picked(view: View, state: ConsoleState) -> int | None:
    shown = view.of(state, 50.0)[0].picked
    return shown.step if shown else None


def test_s_goes_back_through_the_latest_samples_and_home_again(story: Story, seen: Seen) -> None:
    state, view, steps = seen(story(steps=3)), View(), []
    for _ in range(5):
        steps.append(picked(view, state))
        view.press("s", state, 50.0)
    assert steps == [None, 3, 2, 1, None]


def test_before_the_first_step_there_is_no_sample_to_pick(story: Story, seen: Seen) -> None:
    state, view = seen(story(steps=0)), View()
    view.press("ss", state, 50.0)
    assert picked(view, state) is None


def test_space_holds_the_picture_until_it_is_pressed_again(story: Story, seen: Seen) -> None:
    early, late, view = seen(story(steps=2)), seen(story(steps=9)), View()
    view.press(" ", early, 50.0)
    state, now = view.of(late, 90.0)
    assert (state.steps_done, now) == (2, 50.0)
    assert "held" in view.note("")
    view.press(" ", late, 91.0)
    assert view.of(late, 91.0)[0].steps_done == 9
    assert "held" not in view.note("")


def test_a_question_mark_names_the_keys_and_others_do_nothing(story: Story, seen: Seen) -> None:
    view = View()
    assert view.note("watched · q: leave") == "watched · q: leave · ?: help"
    view.press("xQ\x1b[A", seen(story(steps=2)), 50.0)
    assert view.note("") == "?: help"
    view.press("?", seen(story(steps=2)), 50.0)
    assert view.note("watched") == f"{HELP}, watched"
