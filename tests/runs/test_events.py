import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tina_lite.runs.events import (
    KINDS,
    CheckpointSaved,
    Evaluated,
    Event,
    EventStream,
    LogLine,
    PhaseChanged,
    Progress,
    RunFinished,
    RunStarted,
    Sample,
    Stamped,
    StepDone,
    from_json,
)
from tina_lite.util.errors import BadInput

NUMBER = st.floats(allow_nan=False, allow_infinity=False)
# Read back from UTF-8 files, where a lone surrogate survives as its JSON escape.
TEXT = st.text(st.characters(exclude_categories=()), max_size=20)
COUNT = st.integers(0, 10**9)
SAMPLE = st.builds(Sample, TEXT, TEXT, TEXT, st.dictionaries(TEXT, st.none() | NUMBER), NUMBER, NUMBER, TEXT)
EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(RunStarted, rate=NUMBER, max_usd=st.none() | NUMBER, max_hours=st.none() | NUMBER),
    st.from_type(PhaseChanged),
    st.from_type(Progress),
    st.builds(
        StepDone, COUNT, st.none() | COUNT, st.dictionaries(TEXT, NUMBER, max_size=5), SAMPLE, st.none() | SAMPLE
    ),
    st.builds(Evaluated, TEXT, COUNT, TEXT, NUMBER, st.tuples(NUMBER, NUMBER), COUNT, COUNT, NUMBER),
    st.builds(CheckpointSaved, COUNT, TEXT, NUMBER),
    st.builds(LogLine, st.sampled_from(["info", "warning"]), TEXT),
    st.builds(RunFinished, st.dictionaries(TEXT, st.none() | NUMBER | TEXT, max_size=5)),
)

A_SAMPLE = Sample("1+1?", "2", "\\boxed{2}", {"accuracy": 1.0, "format": None}, 2.0, 0.7, "stop")


@given(EVENTS)
def test_every_event_survives_json(event: Event) -> None:
    stamped = Stamped(1700000000.125, 3.5, 0.0125, event)
    assert from_json(json.loads(json.dumps(stamped.to_json(), allow_nan=False))) == stamped


def test_every_kind_can_be_read_by_its_name() -> None:
    assert {name: kind.event for name, kind in KINDS.items()} == {name: name for name in KINDS}
    assert len(KINDS) == 10


def test_nan_is_null_in_json_and_nan_again_when_read() -> None:
    stamped = Stamped(0.0, 0.0, 0.0, StepDone(1, None, {"loss": math.nan, "reward": math.inf, "kl": 0.5}, A_SAMPLE))
    text = json.dumps(stamped.to_json(), allow_nan=False)
    assert '"loss": null' in text
    event = from_json(json.loads(text)).event
    assert isinstance(event, StepDone)
    assert math.isnan(event.metrics["loss"])
    assert event.metrics["kl"] == 0.5


@pytest.mark.parametrize(
    "change",
    [{"event": "levitated"}, {"event": None}, {"phase": None, "unheard_of": 1}, {"usd": None}, {"at": "noon"}],
)
def test_what_is_no_event_is_refused_in_one_line(change: dict[str, object]) -> None:
    record = {**Stamped(0.0, 0.0, 0.0, PhaseChanged("rollout", 1)).to_json(), **change}
    with pytest.raises(BadInput, match="not an event that this version of tina-lite knows") as caught:
        from_json(record)
    assert "\n" not in str(caught.value)


def test_the_stream_stamps_once_and_tells_every_listener_in_order() -> None:
    seconds = iter([1.0, 2.0])
    stream = EventStream(elapsed_s=lambda: next(seconds), usd=lambda: 0.25, wall=lambda: 9.0)
    heard: list[tuple[str, Stamped]] = []
    stream.subscribe(lambda stamped: heard.append(("first", stamped)))
    stream.subscribe(lambda stamped: heard.append(("second", stamped)))
    stream.emit(PhaseChanged("load", 0))
    stamped = Stamped(9.0, 1.0, 0.25, PhaseChanged("load", 0))
    assert heard == [("first", stamped), ("second", stamped)]
