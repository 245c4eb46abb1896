"""How much is left, and until when each part of a step may run: every limit of a run, asked in one place."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import ceil, floor, inf
from statistics import fmean, median
from typing import Annotated, Any

from pydantic import Field

from tina_lite.budget.meter import Meter, Reading
from tina_lite.budget.money import format_price, format_usd
from tina_lite.util.errors import NoRoom
from tina_lite.util.stateful import Fields


@dataclass(frozen=True, slots=True)
class Left:
    """What the limits leave at one moment; inf where nothing limits."""

    seconds: float = inf
    """Until the nearest limit of time or money; below 0 where it is passed."""
    limit: str = ""
    """The name of that limit; empty where there is none."""
    steps: float = inf
    tokens: float = inf

    def __bool__(self) -> bool:
        """Whether time or money is limited."""
        return bool(self.limit)

    def reason_to_stop(self, needed_s: float, step_tokens: int = 0) -> str | None:
        """The limit that forbids another step: one that needs so many seconds, closing included, and tokens."""
        if self.steps <= 0:
            return "max_steps"
        if self.tokens < max(1, step_tokens):
            return "max_tokens"
        return self.limit if needed_s > self.seconds else None


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run may take, over all its sessions; None where it may take what it likes."""

    max_usd: float | None = None
    max_hours: float | None = None
    max_steps: int | None = None
    max_tokens: int | None = None
    until_s: float | None = None
    """Of this session, from the start of its process."""

    def left(self, reading: Reading, steps: int = 0, tokens: int = 0) -> Left:
        """Say what is left where the bill reads so, and so many steps and tokens are used."""
        seconds = [(inf, "")]
        if self.max_usd is not None and reading.rate > 0:
            seconds.append((reading.affordable_s(self.max_usd), "max_usd"))
        if self.max_hours is not None:
            seconds.append((reading.seconds_to(self.max_hours), "max_hours"))
        if self.until_s is not None:
            seconds.append((self.until_s - reading.elapsed_s, "until"))
        steps_left = inf if self.max_steps is None else max(0, self.max_steps - steps)
        return Left(*min(seconds), steps_left, inf if self.max_tokens is None else self.max_tokens - tokens)

    def refuse_if_hopeless(self, reading: Reading, needed_s: float) -> None:
        """NoRoom where so many seconds do not fit, with the smallest limit that is worth trying."""
        left = self.left(reading)
        if needed_s <= left.seconds:
            return
        if left.limit == "max_hours":
            hours = ceil((reading.billed_s + reading.more_s(needed_s)) / 0.36) / 10_000
            raise NoRoom(
                f"max_hours {self.max_hours:g} is too small for one step: needs {hours:g} or more; raise --max-hours"
            )
        if left.limit == "until":
            raise NoRoom(f"until leaves {max(0.0, left.seconds):.0f} s, too few for one step; choose a later --until")
        raise NoRoom(
            f"max_usd {self.max_usd:g} is too small for one step at {format_price(reading.rate)}/h: "
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


def eta(forecast: StepForecast, left: Left, reading: Reading, reserve_s: float) -> Eta | None:
    """Steps until a limit speaks; None before the first step was measured, and where nothing limits the run."""
    typical_s = forecast.typical_s()
    if typical_s is None or (not left and left.steps == inf):
        return None
    steps = left.steps
    if left:
        # A cautious step's time is asked for before each one, so before the last one too.
        spare_s = left.seconds - reserve_s - max(forecast.next_s(), typical_s)
        steps = min(steps, 1 + floor(spare_s / typical_s) if spare_s >= 0 else 0)
    seconds = steps * typical_s + reserve_s
    return Eta(int(steps), seconds, reading.usd_in(seconds))


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

    def took(self, phase: str, seconds: float) -> None:
        """Take note of a phase that has ended."""
        if phase in ("reward", "update", "save", "eval"):
            setattr(self, phase, max(getattr(self, phase), seconds))


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


class Stopwatch:
    """Tells the seconds of a piece of work, as the meter counts them: so far, or in all once it has ended."""

    def __init__(self, meter: Meter) -> None:
        self._now = meter.elapsed_s
        self._from_s = meter.elapsed_s()
        self._ended_s: float | None = None
        self.is_typical = True
        """Whether it tells what another one will take."""

    @property
    def seconds(self) -> float:
        """Seconds of this session."""
        return (self._now() if self._ended_s is None else self._ended_s) - self._from_s

    def end(self) -> None:
        """Stand still."""
        self._ended_s = self._now()


class Deadlines:
    """Seconds and limits of one session: what is left, and how much of it each part of the run may take."""

    def __init__(
        self,
        meter: Meter,
        limits: Limits,
        stop: Callable[[], bool],
        iterations: int = 1,
        used: Callable[[], tuple[int, int]] = lambda: (0, 0),
    ) -> None:
        """`stop`: whether someone asked the run to end; `iterations` of an update; `used`: steps and tokens so far."""
        self._meter = meter
        self.limits = limits
        self._stop = stop
        self._iterations = iterations
        self._used = used
        self.timings = Timings()
        self._forecast = StepForecast(self.timings.steps)

    def state(self) -> Any:
        """What was measured."""
        return self.timings.state()

    def load_state(self, state: Any) -> None:
        """Go on with what earlier sessions measured."""
        self.timings.load_state(state)
        self._forecast = StepForecast(self.timings.steps)

    @contextmanager
    def step(self) -> Iterator[Stopwatch]:
        """Time a step; one that fails tells nothing of the next."""
        watch = Stopwatch(self._meter)
        yield watch
        watch.end()
        self._forecast.add(watch.seconds)

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

    def left(self) -> Left:
        """What the limits leave now."""
        return self.limits.left(self._meter.read(), *self._used())

    def reason_to_stop(self, step_tokens: int = 0) -> str | None:
        """The limit that forbids another step: it starts only if it is forecast to fit, and the end of the run too."""
        return self.left().reason_to_stop(self.step_s + self.reserve_s, step_tokens)

    def out_of_time(self, reserve_s: float, at_most_s: float = inf) -> OutOfTimeCheck:
        """Whether work must stop now, so that `reserve_s` are left, or as it took `at_most_s`, or as someone asked."""
        now = self._meter.elapsed_s()
        end = now + min(self.left().seconds - reserve_s, at_most_s)
        return self._check(lambda then: then >= end)

    def out_of_time_for_rollout(self) -> OutOfTimeCheck:
        """The same of a rollout, which keeps back the scoring and the update that must follow it."""
        started = self._meter.elapsed_s()
        end = started + self.left().seconds - self.reserve_s
        return self._check(lambda then: then + self.rest_s(then - started) >= end)

    def rest_s(self, rollout_s: float) -> float:
        """Seconds that must follow a rollout: as measured, and before the first step by the rollout itself."""
        reward_s = self.timings.reward if self.timings.update else 0.0
        return reward_s + self._update_s(rollout_s)

    def scoring_may_take_s(self, rollout_s: float) -> float:
        """Seconds until a scoring must end for the update to fit."""
        return max(0.0, self.left().seconds - self.reserve_s - self._update_s(rollout_s))

    def eval_share_s(self) -> float:
        """Seconds that the evaluation before training may take."""
        return EVAL_SHARE * max(0.0, self.left().seconds - self.save_reserve_s)

    def lr_progress(self, by_steps: float, started_s: float, step_tokens: int) -> float:
        """Share of the learning-rate schedule that is done once the step under way has run: 1 in the last.

        The limit that is nearest to its end speaks: steps, tokens, or time and money.

        Args:
            by_steps: done by their number.
            started_s: seconds of all sessions, at which the schedule began.
            step_tokens: that a step may take; 0 before the first.
        """
        shares, left = [by_steps], self.left()
        if left:
            spent_s = self._meter.read().total_s - started_s + (self.timings.update or self.step_s)
            shares.append(_share(spent_s, left.seconds - self.reserve_s - self.timings.update, self.step_s))
        if self.limits.max_tokens is not None:
            left_tokens = left.tokens - max(1, step_tokens)
            shares.append(_share(self.limits.max_tokens - left_tokens, left_tokens, step_tokens))
        return max(shares)

    def eta(self) -> Eta | None:
        """The rest of the run, as it will probably go."""
        return eta(self._forecast, self.left(), self._meter.read(), self.reserve_s)

    def _update_s(self, rollout_s: float) -> float:
        return self.timings.update or (FIRST_UPDATE + MORE_ITERATIONS * (self._iterations - 1)) * rollout_s

    def _check(self, over: Callable[[float], bool]) -> OutOfTimeCheck:
        return OutOfTimeCheck(self._meter.elapsed_s, lambda then: self._stop() or over(then))


def _share(used: float, spare: float, step: float) -> float:
    """Of a limit, that is used once this step is done. Where the rest is too little for another, this is the last.

    >>> _share(80.0, 20.0, 10.0), _share(95.0, 5.0, 10.0)
    (0.8, 1.0)
    """
    return 1.0 if spare < max(step, 1e-9) else used / (used + spare)
