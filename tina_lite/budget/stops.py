"""When a run ends: each limit is a rule that speaks before it would be passed."""

from dataclasses import dataclass
from math import ceil

from tina_lite.budget.meter import Reading
from tina_lite.budget.money import format_usd
from tina_lite.errors import NoRoom


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run may take, over all its sessions; None where it may take what it likes."""

    max_usd: float | None
    max_hours: float | None
    max_steps: int | None

    def left(self, reading: Reading) -> tuple[float | None, str]:
        """Seconds until the nearest limit of time or money, and its name; (None, "") without such a limit."""
        left: list[tuple[float, str]] = []
        if self.max_usd is not None and reading.rate > 0:
            left.append(((self.max_usd - reading.usd) / reading.rate * 3600, "max_usd"))
        if self.max_hours is not None:
            left.append((self.max_hours * 3600 - reading.total_s, "max_hours"))
        return min(left) if left else (None, "")


class StopRules:
    """Asked before each step; answers with the name of the limit that speaks, or None."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits

    def before_step(self, steps_done: int, reading: Reading, step_s: float, reserve_s: float) -> str | None:
        """A step starts only if its forecast and the reserve for closing fit what is left."""
        if self.limits.max_steps is not None and steps_done >= self.limits.max_steps:
            return "max_steps"
        left_s, limit = self.limits.left(reading)
        return limit if left_s is not None and step_s + reserve_s > left_s else None

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
            hours = ceil((reading.total_s + needed_s) / 0.36) / 10_000
            raise NoRoom(
                f"max_hours {self.limits.max_hours:g} is too small for one step: "
                f"needs {hours:g} or more; raise --max-hours"
            )
        raise NoRoom(
            f"max_usd {self.limits.max_usd:g} is too small for one step at ${reading.rate:g}/h: "
            f"needs {format_usd(reading.usd + needed_s / 3600 * reading.rate)} or more; raise --max-usd"
        )
