"""When a run ends: each limit is a rule that speaks before it would be passed."""

from dataclasses import dataclass
from math import ceil

from tina_lite.budget.meter import Reading
from tina_lite.budget.money import format_price, format_usd
from tina_lite.condition import Condition
from tina_lite.errors import NoRoom


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
    """Asked before each step; answers with the name of the limit that speaks, or None."""

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
        held: int = 0,
    ) -> str | None:
        """A step starts only if its forecast, and the reserve for closing, fit what is left.

        `tokens` were used so far, `step_tokens` may be in this step; the condition has held for `held` steps.
        """
        if self.limits.max_steps is not None and steps_done >= self.limits.max_steps:
            return "max_steps"
        if self.limits.max_tokens is not None and tokens + max(1, step_tokens) > self.limits.max_tokens:
            return "max_tokens"
        if self.condition is not None and held >= self._patience:
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
