"""A tracker gets every number under TRL's names, and whatever it does, the run goes on."""

import threading
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tina_lite.recipe import load_recipe
from tina_lite.runs.events import Evaluated, Event, RunFinished, RunStarted, Sample, Stamped, StepDone
from tina_lite.track import Beginning, Listening, ScalarTracker, refuse_missing
from tina_lite.util.errors import BadInput


def started(folder: Path, resumed_from_step: int = 0) -> RunStarted:
    return RunStarted(
        name="quick",
        folder=str(folder),
        version="0.1.0",
        model="builtin:tiny",
        engine="native",
        device="cpu (2 threads)",
        seed=1,
        rate=0.2,
        rate_source="recipe",
        max_usd=1.0,
        max_hours=None,
        max_steps=3,
        resumed_from_step=resumed_from_step,
    )


def step(number: int, **metrics: float) -> StepDone:
    shown = Sample("1+1?", "2", "2", {"accuracy": 1.0}, 1.0, 0.0, "stop")
    return StepDone(number, 3, {"reward": number / 10, "rewards/accuracy/mean": 0.5, **metrics}, shown)


def after(number: int) -> Evaluated:
    return Evaluated("after", number, "held_out", 0.75, (0.7, 0.8), 200, 4, 23.5)


def tell(listener: Listening, *events: Event) -> None:
    for event in events:
        listener(Stamped(0.0, 1.0, 0.002, event))


class Remembering(ScalarTracker):
    def __init__(self, beginning: Beginning) -> None:
        self.beginning = beginning
        self.logged: list[tuple[int, Mapping[str, float]]] = []
        self.closed = 0

    def log(self, step: int, scalars: Mapping[str, float]) -> None:
        self.logged.append((step, scalars))

    def close(self) -> None:
        self.closed += 1


def test_a_tracker_gets_steps_and_evaluations_under_trl_names_and_is_closed_once(tmp_path: Path) -> None:
    made: list[Remembering] = []

    def start(beginning: Beginning) -> Remembering:
        made.append(Remembering(beginning))
        return made[0]

    said: list[str] = []
    listener = Listening("track: wandb", start, {"seed": 1}, said.append)
    tell(listener, started(tmp_path / "quick-2"), step(1, usd=0.001), after(1), RunFinished({}))
    listener.close()
    [tracker] = made
    assert tracker.beginning.name == "quick-2"
    assert tracker.beginning.config == {"seed": 1, "device": "cpu (2 threads)", "rate": 0.2, "tina_lite": "0.1.0"}
    (one, metrics), (_, evaluated) = tracker.logged
    assert (one, metrics) == (1, {"train/reward": 0.1, "train/rewards/accuracy/mean": 0.5, "train/usd": 0.001})
    assert evaluated["eval/held_out/pass_at_1"] == 0.75
    assert evaluated["eval/held_out/pass_at_1_low"] == 0.7
    assert tracker.closed == 1
    assert not said


class Failing(Remembering):
    def log(self, step: int, scalars: Mapping[str, float]) -> None:
        raise ConnectionError("no route\nto host")


def refusing(beginning: Beginning) -> Any:
    raise SystemExit("cannot log in")


@pytest.mark.parametrize(
    ("start", "reason"), [(Failing, "ConnectionError: no route to host"), (refusing, "SystemExit: cannot log in")]
)
def test_a_tracker_that_fails_is_said_once_and_left_alone(tmp_path: Path, start: Any, reason: str) -> None:
    said: list[str] = []
    listener = Listening("track: wandb", start, {}, said.append)
    tell(listener, started(tmp_path), step(1))
    listener._thread.join()
    tell(listener, step(2), step(3), RunFinished({}))
    assert said == [f"track: wandb failed, and the run goes on without it: {reason}"]


def test_a_tracker_that_hangs_is_left_behind_when_money_ends(tmp_path: Path) -> None:
    let_go = threading.Event()

    class Hanging(Remembering):
        def close(self) -> None:
            let_go.wait()

    said: list[str] = []
    listener = Listening("track: trackio", Hanging, {}, said.append, spare_s=lambda: -3.0)
    tell(listener, started(tmp_path), step(1), RunFinished({}))
    assert said == ["track: trackio was not done within 0.0 s of the run's end: its last numbers may be missing"]
    let_go.set()


def test_what_is_said_may_come_back_as_an_event(tmp_path: Path) -> None:
    """The run says it as a notice, which every listener hears, this one too."""
    said: list[str] = []

    def warn(text: str) -> None:
        said.append(text)
        tell(listener, step(9))

    listener = Listening("track: wandb", refusing, {}, warn)
    tell(listener, started(tmp_path))
    listener._thread.join()
    tell(listener, step(1))
    assert len(said) == 1


def test_a_missing_package_is_one_line_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"tensorboard": SimpleNamespace(origin="here"), "wandb": SimpleNamespace(origin=None)}  # a folder wandb/
    monkeypatch.setattr("tina_lite.track.find_spec", lambda name: found.get(name))
    refuse_missing(["tensorboard"])
    with pytest.raises(BadInput) as refused:
        refuse_missing(["tensorboard", "wandb", "trackio"])
    assert str(refused.value) == (
        "track: wandb, trackio is not installed; pip install wandb trackio, or take it out of the recipe"
    )


def test_a_name_that_is_no_tracker_is_refused_with_the_allowed_ones(quick_recipe: Path) -> None:
    with pytest.raises(BadInput, match="allowed: 'tensorboard', 'wandb' or 'trackio'"):
        load_recipe(quick_recipe, {"track": ["wandbb"]})
    with pytest.raises(BadInput, match=r"report_to: unknown field; did you mean track: \[tensorboard\]\?"):
        load_recipe(quick_recipe, {"report_to": "wandb"})
