"""A log taken in short comes to the state that all of its lines come to."""

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import reduce
from itertools import chain

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tina_lite.console.state import ConsoleState, after
from tina_lite.runs import look as short
from tina_lite.runs.events import PhaseChanged, Progress, Stamped, StepDone
from tina_lite.runs.look import event_of

Story = Callable[..., list[Stamped]]


def lines_of(events: Iterable[Stamped]) -> list[bytes]:
    return [json.dumps(one.to_json()).encode() for one in events if not isinstance(one.event, Progress)]


def state_of(events: Iterable[Stamped]) -> ConsoleState:
    return reduce(lambda state, one: after(state, one, now=one.at), events, ConsoleState())


def bare(state: ConsoleState) -> dict[str, object]:
    """What has to be the same to the last digit, where the latest steps are told whole."""
    left_out = ("history", "earlier", "usd_by_phase", "phase_from_usd", "marks_s")
    names = (*(name for name in ConsoleState.__slots__ if name not in left_out), "typical")
    return {name: getattr(state, name) for name in names}


@given(steps=st.integers(0, 20), resumed=st.integers(-1, 7), whole=st.integers(1, 60), left=st.integers(1, 30))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_log_in_short_comes_to_the_same_state(story: Story, steps: int, resumed: int, whole: int, left: int) -> None:
    events = story(steps=steps)
    if resumed >= 0:
        events += [replace(one, at=one.at + 100, usd=one.usd + 0.002) for one in story(resumed_from_step=resumed)]
    lines = lines_of(events)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(short, "WHOLE", whole)
        patched.setattr(short, "STEPS", left)
        told = list(short.in_short(lines))
    full, brief = state_of(chain.from_iterable(map(event_of, lines))), state_of(told)
    assert bare(brief) == bare(full)
    assert brief.usd_by_phase == pytest.approx(full.usd_by_phase)
    assert brief.phase_from_usd == pytest.approx(full.phase_from_usd)
    assert brief.history.latest == full.history.latest
    assert sum(isinstance(one.event, StepDone) for one in told) <= left + 1 + whole


def test_a_long_log_is_taken_in_by_its_thousandth_part(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    start, step = story(steps=0)[0], story(steps=1)[-1]
    assert isinstance(step.event, StepDone)
    best = replace(step.event.sample, total=4.0, completion='the best, "total": 9, "advantage"')
    events = [start]
    for number in range(1, 30_001):
        done = replace(step.event, step=number, sample=best if number == 777 else step.event.sample)
        events.append(Stamped(1.7e9 + number, float(number), number / 1e4, PhaseChanged("rollout", number)))
        events.append(Stamped(1.7e9 + number, number + 0.5, (number + 0.5) / 1e4, done))
    told = list(short.in_short(lines_of(events)))
    assert len(told) < 5100
    state = state_of(told)
    assert (state.steps_done, state.step) == (30_000, 30_000)
    assert state.best is not None
    assert (state.best.step, state.best.sample) == (777, best)
    assert sum(state.phase_usd_at(state.seen_at).values()) == pytest.approx(3.0, abs=0.001)
