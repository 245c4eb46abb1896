"""The pace of a run: may another step start, until when may its parts run, what is kept back for closing."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field

from tina_lite.budget.forecast import Outlook, StepForecast, outlook
from tina_lite.budget.meter import Meter
from tina_lite.budget.stops import StopRules
from tina_lite.stateful import Fields

Seconds = Annotated[float, Field(ge=0)]

SAVE_RESERVE_S = 5.0
"""Kept back for the last checkpoint, adapter and summary, a disk that stalls included."""
SLOWER_SAVE = 2.5
"""Saving at the end may take so many times the longest so far: summary and card come on top."""
FIRST_UPDATE = 2.0
"""The first update, of which nothing is known, may take so many times its rollout,"""
MORE_ITERATIONS = 0.5
"""and this much for each further iteration: it can be given up, so this is no worst case."""
EVAL_RESERVE = 1.5
"""The last evaluation may take longer than the first: completions grow."""
EVAL_SHARE = 0.15
"""Of what the run can still pay for, that the evaluation before training may take."""


@dataclass(slots=True)
class Timings(Fields):
    """Seconds that the parts of a run took; a checkpoint keeps them, so that a resumed run knows what to expect."""

    steps: list[Seconds] = field(default_factory=list)
    """Of recent steps, the latest last."""
    reward: Seconds = 0.0
    """Of the longest scoring of a step so far, as are those below."""
    update: Seconds = 0.0
    save: Seconds = 0.0
    eval: Seconds = 0.0


class OutOfTimeCheck:
    """Asked between two pieces of work: is there no time for one more, as long as the longest so far?"""

    def __init__(self, now: Callable[[], float], over: Callable[[float], bool]) -> None:
        """`over` is asked with the moment, in seconds of the session, at which one more piece would be done."""
        self._now = now
        self._over = over
        self._last = now()
        self._longest = 0.0

    def __call__(self) -> bool:
        now = self._now()
        self._longest, self._last = max(self._longest, now - self._last), now
        return self._over(now + self._longest)


class Pace:
    """Seconds and limits of one session; the stop rules say which limits there are."""

    def __init__(self, meter: Meter, rules: StopRules, stop: Callable[[], bool], iterations: int = 1) -> None:
        """`stop` says whether someone asked the run to end; an update has so many `iterations`."""
        self._meter = meter
        self._rules = rules
        self._stop = stop
        self._iterations = iterations
        self.timings = Timings()
        self._forecast = StepForecast(self.timings.steps)

    def state(self) -> Any:
        """What was measured."""
        return self.timings.state()

    def load_state(self, state: Any) -> None:
        """Go on with what earlier sessions measured."""
        self.timings.load_state(state)
        self._forecast = StepForecast(self.timings.steps)

    def step_took(self, seconds: float) -> None:
        self._forecast.add(seconds)

    @property
    def step_s(self) -> float:
        """Seconds that the next step may take; 0 before the first."""
        return self._forecast.next_s()

    @property
    def save_reserve_s(self) -> float:
        """Seconds kept back for saving."""
        return max(SAVE_RESERVE_S, SLOWER_SAVE * self.timings.save)

    @property
    def reserve_s(self) -> float:
        """Seconds kept back for closing: the last evaluation, and saving."""
        return EVAL_RESERVE * self.timings.eval + self.save_reserve_s

    def left_s(self) -> float | None:
        """Seconds until the nearest limit; None without one."""
        return self._rules.limits.left(self._meter.read())[0]

    def limit(self) -> str:
        """The name of the nearest limit."""
        return self._rules.binding_limit(self._meter.read())

    def out_of_time(self, reserve_s: float, at_most_s: float | None = None) -> OutOfTimeCheck:
        """Whether work must stop now, so that `reserve_s` are left, or as it took `at_most_s`, or as someone asked."""
        started, deadline = self._meter.elapsed_s(), self._deadline_s(reserve_s)
        ends = [end for end in (deadline, None if at_most_s is None else started + at_most_s) if end is not None]
        return self._check(lambda then: any(then >= end for end in ends))

    def out_of_time_for_rollout(self) -> OutOfTimeCheck:
        """The same of a rollout, which keeps back the scoring and the update that must follow it."""
        started, deadline = self._meter.elapsed_s(), self._deadline_s(self.reserve_s)
        return self._check(lambda then: deadline is not None and then + self.rest_s(then - started) >= deadline)

    def rest_s(self, rollout_s: float) -> float:
        """Seconds that must follow a rollout: as measured, and before the first step by the rollout itself."""
        reward_s = self.timings.reward if self.timings.update else 0.0
        return reward_s + self._update_s(rollout_s)

    def scoring_may_take_s(self, rollout_s: float) -> float | None:
        """Seconds until a scoring must end for the update to fit; None without a limit."""
        left_s = self.left_s()
        return None if left_s is None else max(0.0, left_s - self.reserve_s - self._update_s(rollout_s))

    def eval_share_s(self) -> float | None:
        """Seconds that the evaluation before training may take; None without a limit."""
        left_s = self.left_s()
        return None if left_s is None else EVAL_SHARE * max(0.0, left_s - self.save_reserve_s)

    def horizon(self, by_steps: float, started_s: float, tokens: int, step_tokens: int) -> float:
        """Share of the learning-rate schedule that is done once the step under way has run: 1 in the last.

        The limit that is nearest to its end speaks: steps, tokens, or time and money.

        Args:
            by_steps: done by their number.
            started_s: seconds of all sessions, at which the schedule began.
            tokens: used before this step.
            step_tokens: that a step may take; 0 before the first.
        """
        shares = [by_steps]
        reading, limits = self._meter.read(), self._rules.limits
        left_s, _ = limits.left(reading)
        if left_s is not None:
            spent_s = reading.total_s - started_s + (self.timings.update or self.step_s)
            shares.append(_share(spent_s, left_s - self.reserve_s - self.timings.update, self.step_s))
        if limits.max_tokens is not None:
            used = tokens + max(1, step_tokens)
            shares.append(_share(used, limits.max_tokens - used, step_tokens))
        return max(shares)

    def outlook(self, step: int) -> Outlook | None:
        """The rest of the run, as it will probably go."""
        return outlook(self._forecast, self._rules.limits, step, self._meter.read(), self.reserve_s)

    def _update_s(self, rollout_s: float) -> float:
        return self.timings.update or (FIRST_UPDATE + MORE_ITERATIONS * (self._iterations - 1)) * rollout_s

    def _deadline_s(self, reserve_s: float) -> float | None:
        return self._rules.deadline_s(self._meter.read(), reserve_s)

    def _check(self, over: Callable[[float], bool]) -> OutOfTimeCheck:
        return OutOfTimeCheck(self._meter.elapsed_s, lambda then: self._stop() or over(then))


def _share(used: float, spare: float, step: float) -> float:
    """Of a limit, that is used once this step is done. Where the rest is too little for another, this is the last.

    >>> _share(80.0, 20.0, 10.0), _share(95.0, 5.0, 10.0)
    (0.8, 1.0)
    """
    return 1.0 if spare < max(step, 1e-9) else used / (used + spare)
