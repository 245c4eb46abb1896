"""From events to a tracker, without the run ever waiting for one.

Events are put into a queue; a thread of the tracker's own starts it, feeds it and closes it. An exception ends the
tracker, not the run. At the run's end it has `CLOSE_S` to get rid of what is queued, or less where money ends sooner.
"""

import math
import queue
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tina_lite.runs.events import AlarmRaised, Evaluated, RunFinished, RunStarted, Stamped, StepDone
from tina_lite.util.errors import one_line

CLOSE_S = 2.0


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a tracker is told of the run that begins, or goes on."""

    name: str
    """The run folder's, which is unique where the recipe's is not."""
    folder: Path
    resumed_from_step: int
    """0 for a fresh run."""
    config: Mapping[str, Any]
    """The resolved recipe, with device, model and rate."""


class Tracker(Protocol):
    """What a run asks of a tracker. Any method may raise."""

    def hear(self, stamped: Stamped) -> None:
        """Take note of an event of HEARD, the run's start among them."""

    def close(self) -> None:
        """Flush and let go; called once."""


class ScalarTracker(ABC):
    """Is a tracker of numbers alone."""

    def hear(self, stamped: Stamped) -> None:
        if isinstance(stamped.event, StepDone | Evaluated):
            self.log(stamped.event.step, scalars(stamped))

    @abstractmethod
    def log(self, step: int, scalars: Mapping[str, float]) -> None:
        """Take note of the numbers of a step or an evaluation."""

    @abstractmethod
    def close(self) -> None:
        """Flush and let go; called once."""


HEARD = (RunStarted, StepDone, Evaluated, AlarmRaised, RunFinished)
Start = Callable[[Beginning], Tracker]


class Listening:
    """Listens to the event stream for one tracker."""

    def __init__(
        self,
        name: str,
        start: Start,
        config: Mapping[str, Any],
        warn: Callable[[str], None],
        spare_s: Callable[[], float] = lambda: math.inf,
    ) -> None:
        """`warn` is told, once, what went wrong; `spare_s` says how long the run can still pay for waiting."""
        self._name = name
        self._start = start
        self._config = config
        self._warn = warn
        self._spare_s = spare_s
        self._events: queue.SimpleQueue[Stamped | None] = queue.SimpleQueue()
        self._fault: str | None = None
        self._said = False
        self._closed = False
        self._thread = threading.Thread(target=self._work, name=f"track-{name}", daemon=True)

    def __call__(self, stamped: Stamped) -> None:
        if isinstance(stamped.event, HEARD):
            self._events.put(stamped)
        if isinstance(stamped.event, RunStarted):
            self._thread.start()
        if isinstance(stamped.event, RunFinished):
            self.close()
        self._warn_of_fault()

    def close(self) -> None:
        """Let the tracker finish what it has, while there is time; the second call does nothing."""
        if self._closed or not self._thread.is_alive():
            return
        self._closed = True
        self._events.put(None)
        waited_s = max(0.0, min(CLOSE_S, self._spare_s()))
        self._thread.join(waited_s)
        if self._thread.is_alive():
            self._fault = f"was not done within {waited_s:.1f} s of the run's end: its last numbers may be missing"

    def _warn_of_fault(self) -> None:
        if self._fault is not None and not self._said:
            self._said = True  # first: what is said comes back here as an event
            self._warn(f"{self._name} {self._fault}")

    def _work(self) -> None:
        """The tracker's thread."""
        try:
            tracker: Tracker | None = None
            while (stamped := self._events.get()) is not None:
                if isinstance(stamped.event, RunStarted):
                    tracker = self._start(_beginning(stamped.event, self._config))
                if tracker is not None:
                    tracker.hear(stamped)
            if tracker is not None:
                tracker.close()
        except BaseException as error:  # a tracker may even call sys.exit: none of it is the run's business
            self._fault = f"failed, and the run goes on without it: {type(error).__name__}: {one_line(error, 200)}"


def scalars(stamped: Stamped) -> dict[str, float]:
    """An event's numbers as transformers' trainer would name them: train/reward, train/rewards/accuracy/mean, ...

    >>> from tina_lite.runs.events import Evaluated
    >>> done = Evaluated("after", 80, "held_out", 0.76, (0.72, 0.8), 200, 4, 23.8)
    >>> scalars(Stamped(0.0, 9.0, 0.004, done))["eval/held_out/pass_at_1"]
    0.76
    """
    match stamped.event:
        case StepDone(metrics=metrics):
            return {f"train/{name}": float(value) for name, value in metrics.items()}
        case Evaluated() as result:
            figures = {
                "pass_at_1": result.pass_at_1,
                "pass_at_1_low": result.ci95[0],
                "pass_at_1_high": result.ci95[1],
                "mean_length": result.mean_length,
            }
            found = {f"eval/{result.benchmark}/{name}": value for name, value in figures.items()}
            return {**found, "eval/usd": stamped.usd}
        case _:
            return {}


def _beginning(started: RunStarted, config: Mapping[str, Any]) -> Beginning:
    folder = Path(started.folder)
    machine = {"device": started.device, "rate": started.rate, "tina_lite": started.version}
    return Beginning(folder.resolve().name, folder, started.resumed_from_step, {**config, **machine})
