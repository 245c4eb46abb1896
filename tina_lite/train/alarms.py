"""Callbacks that look at a run's health: what is amiss is told, and what is hopeless or has collapsed may end it."""

from collections.abc import Mapping
from typing import Any

from tina_lite.console.lines import why_nothing
from tina_lite.runs.events import AlarmOver, AlarmRaised, LogLine, Sample
from tina_lite.runs.health import RULES, Alarm, alarms
from tina_lite.runs.look import records
from tina_lite.runs.past import RECENT, Past
from tina_lite.runs.session import Session
from tina_lite.train.callbacks import Callback
from tina_lite.train.recorder import StepRecord
from tina_lite.util.errors import one_line
from tina_lite.util.records import with_nan

SAID = 200
"""Characters of a completion's end: an answer stands there."""


class HealthWatch(Callback):
    """Tells what is amiss and what to try, once until it was over for a while: a log is all that many look at."""

    def __init__(self, session: Session, thresholds: Mapping[str, float | None], ends_run: bool) -> None:
        """`thresholds`: those that differ from the rules' own; `ends_run`: where the policy has collapsed."""
        self._session = session
        self._thresholds = thresholds
        self._ends_run = ends_run
        self._past = Past()
        self._on: list[Alarm] = []
        self._quiet_for: dict[str, int] = {}
        """Of each that was told: the steps for which it has not been so, and is over after RECENT."""

    def on_begin(self) -> None:
        """A resumed run has its metrics behind it; what is amiss still is told again, as its log is a new one."""
        for row in records(self._session.folder.path / "metrics.jsonl"):
            self._past.see(with_nan(row))

    def after_step(self, record: StepRecord) -> None:
        self._past.see(record.metrics)
        try:
            self._on = alarms(self._past, self._thresholds)
        except Exception as error:  # a run is worth more than what is said of it
            self._session.warn_once(f"alarms failed: {type(error).__name__}: {one_line(error)}", "alarms")
            return
        for alarm in self._on:
            if alarm.name not in self._quiet_for:
                self._session.events.emit(AlarmRaised(record.step, alarm.name, alarm.words, alarm.advice))
                if alarm.name == "reward_zero":
                    self._session.events.emit(LogLine("info", example(record.typical)))
        on = {alarm.name for alarm in self._on}
        quiet = {name: steps + 1 for name, steps in self._quiet_for.items() if name not in on}
        for name in (name for name, steps in quiet.items() if steps == RECENT):
            self._session.events.emit(AlarmOver(record.step, name))
        self._quiet_for = dict.fromkeys(on, 0) | {name: steps for name, steps in quiet.items() if steps < RECENT}

    @property
    def stop_reason(self) -> str | None:
        return "collapse" if self._ends_run and any(RULES[alarm.name].is_collapse for alarm in self._on) else None

    def summary(self) -> Mapping[str, Any]:
        return {"alarms": {alarm.name: alarm.words for alarm in self._on}}


def example(sample: Sample) -> str:
    r"""Say what a completion was asked, what it said, and why it got nothing.

    >>> example(Sample("1+1?", "2", "It is three.", {"accuracy": 0.0}, 0.0, 0.0, "stop"))
    'for example: asked "1+1?", it ended "It is three."; no \\boxed{} answer, the gold is 2'
    """
    asked, ended = one_line(sample.question, 120), one_line(sample.completion[-SAID:], SAID)
    return f'for example: asked "{asked}", it ended "{ended}"; {why_nothing(sample)}'


class HopelessWatch(Callback):
    """Ends a run that learns nothing while there is money left. A resume counts anew: its data may be others."""

    def __init__(self, session: Session, most: int) -> None:
        self._session = session
        self._most = most
        self._steps = 0

    def after_step(self, record: StepRecord) -> None:
        self._steps = 0 if record.update.trained_tokens else self._steps + 1
        if self._steps == self._most:
            self._session.warn(
                f"{self._most} steps in a row had nothing to learn from, so the run ends with the money left; mend the "
                f"reward, then: tina-lite resume {self._session.folder.path}; stop.hopeless: null lets it go on"
            )

    @property
    def stop_reason(self) -> str | None:
        return "hopeless" if self._steps >= self._most else None
