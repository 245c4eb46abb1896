"""How much is left, and until when each part of a step may run: stop rules, forecasts, deadlines."""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil, floor
from statistics import fmean, median
from typing import Annotated, Any

from pydantic import Field

from tina_lite.budget.conditions import Condition
from tina_lite.budget.meter import Meter, Reading
from tina_lite.budget.money import format_price, format_usd
from tina_lite.util.errors import NoRoom
from tina_lite.util.stateful import Fields


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run may take, over all its sessions; None where it may take what it likes."""

    max_usd: float | None = None
    max_hours: float | None = None
    max_steps: int | None = None
    max_tokens: int | None = None
    until_s: float | None = None
    """Of this session, from the start of its process."""

    def left(self, reading: Reading) -> tuple[float | None, str]:
        """Seconds until the nearest limit of time or money, and its name; (None, "") without such a limit."""
        left: list[tuple[float, str]] = []
        if self.max_usd is not None and reading.rate > 0:
            left.append((reading.affordable_s(self.max_usd), "max_usd"))
        if self.max_hours is not None:
            left.append((reading.seconds_to(self.max_hours), "max_hours"))
        if self.until_s is not None:
            left.append((self.until_s - reading.elapsed_s, "until"))
        return min(left) if left else (None, "")


class StopRules:
    """Says before each step which limit has been reached; None where none has."""

    def __init__(self, limits: Limits, condition: Condition | None = None, patience: int = 1) -> None:
        """The run also ends once `condition` has held for `patience` steps in a row."""
        self.limits = limits
        self.condition = condition
        self._patience = patience

    def before_step(
        self,
        steps_done: int,
        reading: Reading,
        step_s: float,
        reserve_s: float,
        *,
        tokens: int = 0,
        step_tokens: int = 0,
        condition_streak: int = 0,
    ) -> str | None:
        """A step starts only if its forecast, and the reserve for closing, fit what is left.

        `tokens` were used so far, `step_tokens` may be in this step; the condition has held for
        `condition_streak` steps.
        """
        if self.limits.max_steps is not None and steps_done >= self.limits.max_steps:
            return "max_steps"
        if self.limits.max_tokens is not None and tokens + max(1, step_tokens) > self.limits.max_tokens:
            return "max_tokens"
        if self.condition is not None and condition_streak >= self._patience:
            return "stop_when"
        return self.out_of(reading, step_s + reserve_s)

    def out_of(self, reading: Reading, seconds: float) -> str | None:
        """The limit of time or money that leaves less than so many seconds."""
        left_s, limit = self.limits.left(reading)
        return limit if left_s is not None and seconds > left_s else None

    def deadline_s(self, reading: Reading, reserve_s: float) -> float | None:
        """Seconds of this session at which work must stop, so that closing still fits; None without a limit."""
        left_s, _ = self.limits.left(reading)
        return None if left_s is None else reading.elapsed_s + left_s - reserve_s

    def binding_limit(self, reading: Reading) -> str:
        """The limit that is nearest."""
        return self.limits.left(reading)[1]

    def refuse_if_hopeless(self, reading: Reading, step_s: float, reserve_s: float) -> None:
        """NoRoom where not even one step fits, with the smallest limit that is worth trying."""
        left_s, limit = self.limits.left(reading)
        if left_s is None or step_s + reserve_s <= left_s:
            return
        needed_s = step_s + reserve_s
        if limit == "max_hours":
            hours = ceil((reading.billed_s + reading.more_s(needed_s)) / 0.36) / 10_000
            raise NoRoom(
                f"max_hours {self.limits.max_hours:g} is too small for one step: "
                f"needs {hours:g} or more; raise --max-hours"
            )
        if limit == "until":
            raise NoRoom(f"until leaves {max(0.0, left_s):.0f} s, too few for one step; choose a later --until")
        raise NoRoom(
            f"max_usd {self.limits.max_usd:g} is too small for one step at {format_price(reading.rate)}/h: "
            f"needs {format_usd(reading.usd_in(needed_s))} or more; raise --max-usd"
        )


RECENT = 8
CAUTION = 1.1
"""Over the recent median: completions grow, and a step that does not fit must not start."""
SHORTEST_S = 1e-3
"""No step is shorter: what is affordable stays a number."""


class StepForecast:
    """Forecasts a step's seconds cautiously: never less than the longest recent step."""

    def __init__(self, recent: list[float] | None = None) -> None:
        """`recent` are seconds of earlier steps, the latest last; later ones are added to this very list."""
        self._recent = [] if recent is None else recent

    def add(self, seconds: float) -> None:
        """Take note of a step."""
        self._recent.append(seconds)
        del self._recent[:-RECENT]

    def next_s(self) -> float:
        """Seconds that the next step may take; 0 before the first.

        >>> forecast = StepForecast()
        >>> for seconds in (1.0, 1.0, 1.4): forecast.add(seconds)
        >>> forecast.next_s()
        1.4
        """
        return max(CAUTION * median(self._recent), *self._recent) if self._recent else 0.0

    def typical_s(self) -> float | None:
        """Seconds of a step on average, without caution; None before the first."""
        return max(fmean(self._recent), SHORTEST_S) if self._recent else None


@dataclass(frozen=True, slots=True)
class Eta:
    """The rest of a run, as it will probably go."""

    steps: int
    """Still to come."""
    seconds: float
    """Those steps and closing."""
    usd: float
    """The bill of the whole run at its end."""


def eta(forecast: StepForecast, limits: Limits, steps_done: int, reading: Reading, reserve_s: float) -> Eta | None:
    """Steps until a limit speaks; None before the first step was measured, and where nothing limits the run."""
    typical_s = forecast.typical_s()
    left_s, _ = limits.left(reading)
    if typical_s is None or (left_s is None and limits.max_steps is None):
        return None
    bounds = [] if limits.max_steps is None else [max(0, limits.max_steps - steps_done)]
    if left_s is not None:
        # The stop rules ask for a cautious step's time before each one, so before the last one too.
        spare_s = left_s - reserve_s - max(forecast.next_s(), typical_s)
        bounds.append(1 + floor(spare_s / typical_s) if spare_s >= 0 else 0)
    seconds = min(bounds) * typical_s + reserve_s
    return Eta(min(bounds), seconds, reading.usd_in(seconds))


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


class Deadlines:
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
        """Give the name of the nearest limit."""
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

    def lr_progress(self, by_steps: float, started_s: float, tokens: int, step_tokens: int) -> float:
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

    def eta(self, step: int) -> Eta | None:
        """The rest of the run, as it will probably go."""
        return eta(self._forecast, self._rules.limits, step, self._meter.read(), self.reserve_s)

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
