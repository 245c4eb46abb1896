"""When a run ends: each limit is a rule that speaks before it would be passed."""

from dataclasses import dataclass

from tina_lite.budget.meter import Reading
from tina_lite.budget.money import format_usd
from tina_lite.errors import NoRoom


@dataclass(frozen=True, slots=True)
class Limits:
    max_usd: float | None
    max_hours: float | None
    """Of all sessions."""
    max_steps: int | None


class StopRules:
    """Asked before each step; answers with the name of the limit that speaks, or None."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def before_step(self, steps_done: int, reading: Reading, step_s: float, reserve_s: float) -> str | None:
        """A step starts only if its forecast and the reserve for closing fit what is left."""
        if self._limits.max_steps is not None and steps_done >= self._limits.max_steps:
            return "max_steps"
        left_s, limit = self._left(reading)
        return limit if left_s is not None and step_s + reserve_s > left_s else None

    def deadline_s(self, reading: Reading, reserve_s: float) -> float | None:
        """Seconds of this session at which work must stop, so that closing still fits; None without a limit."""
        left_s, _ = self._left(reading)
        return None if left_s is None else reading.elapsed_s + left_s - reserve_s

    def binding_limit(self, reading: Reading) -> str:
        """The limit that is nearest."""
        return self._left(reading)[1]

    def refuse_if_hopeless(self, reading: Reading, step_s: float, reserve_s: float) -> None:
        """NoRoom where not even one step fits."""
        left_s, limit = self._left(reading)
        if left_s is None or step_s + reserve_s < left_s:
            return
        needed_s = reading.total_s + step_s + reserve_s
        if limit == "max_hours":
            raise NoRoom(f"max_hours is too small for one step: needs {needed_s / 3600:.4f} h or more")
        needed_usd = reading.usd + (step_s + reserve_s) / 3600 * reading.rate
        raise NoRoom(
            f"max_usd {self._limits.max_usd:g} is too small for one step at ${reading.rate:g}/h: "
            f"needs {format_usd(needed_usd)} or more; raise --max-usd"
        )

    def _left(self, reading: Reading) -> tuple[float | None, str]:
        """Seconds until the nearest limit of time or money, and its name."""
        left: list[tuple[float, str]] = []
        if self._limits.max_usd is not None and reading.rate > 0:
            left.append(((self._limits.max_usd - reading.usd) / reading.rate * 3600, "max_usd"))
        if self._limits.max_hours is not None:
            left.append((self._limits.max_hours * 3600 - reading.total_s, "max_hours"))
        return min(left) if left else (None, "")
