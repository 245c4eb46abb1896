"""Electricity as measured: what an NVIDIA card draws, sampled and summed over the time of a session.

It meets the meter in one number, the joules so far: they make the session's mean rate. What a limit is reckoned with
is the most that the card may draw, so a cap holds whatever the card does next.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tina_lite.device import visible_card
from tina_lite.errors import BadInput

SAMPLE_S = 1.0
"""Seconds between samples; the driver itself averages over about one."""
JOULES_PER_KWH = 3.6e6


@dataclass(frozen=True, slots=True)
class Power:
    """A card that can be asked for its power, and what a kilowatt-hour costs."""

    watts: Callable[[], float]
    """Asks the card; never fails."""
    most_watts: float
    usd_per_kwh: float


class EnergyMeter:
    """Joules since a session began. One thread samples; any may read.

    What was drawn before the first sample is charged at the first sample's power, what was drawn since the last at
    the last's: the sum never shrinks and never jumps.
    """

    def __init__(self, power: Power) -> None:
        self.usd_per_kwh = power.usd_per_kwh
        self._watts = power.watts
        self._last = (0.0, 0.0, power.watts())
        """Joules, seconds of the session and watts at the last sample; replaced whole, so that no lock is needed."""

    def sample(self, elapsed_s: float) -> None:
        """Ask the card, `elapsed_s` into the session."""
        self._last = (self.joules(elapsed_s), elapsed_s, self._watts())

    def joules(self, elapsed_s: float) -> float:
        """Up to a moment of the session."""
        joules, sampled_s, watts = self._last
        return joules + watts * max(0.0, elapsed_s - sampled_s)


def dollars(joules: float, usd_per_kwh: float) -> float:
    """What energy costs.

    >>> dollars(450 * 3600, 0.30)
    0.135
    """
    return joules / JOULES_PER_KWH * usd_per_kwh


def card_power(usd_per_kwh: float) -> Power:
    """The power of the card in use, through NVML. BadInput where it cannot be had."""
    try:
        import pynvml
    except ImportError:
        raise _cannot("nvidia-ml-py is not installed") from None
    try:
        pynvml.nvmlInit()
        card = _card(pynvml)
        most_watts = float(pynvml.nvmlDeviceGetEnforcedPowerLimit(card) / 1000)
        pynvml.nvmlDeviceGetPowerUsage(card)
    except pynvml.NVMLError as error:
        raise _cannot(f"NVML says: {error}") from None

    def watts() -> float:
        try:
            return float(pynvml.nvmlDeviceGetPowerUsage(card) / 1000)
        except pynvml.NVMLError:
            return most_watts  # nobody knows, so nothing is given away

    return Power(watts, most_watts, usd_per_kwh)


def _card(pynvml: Any) -> Any:
    """NVML's handle of the card that a run uses."""
    card = visible_card()
    if card is None:
        raise _cannot("CUDA_VISIBLE_DEVICES hides every card")
    if card.isdigit():
        return pynvml.nvmlDeviceGetHandleByIndex(int(card))
    return pynvml.nvmlDeviceGetHandleByUUID(card)


def _cannot(reason: str) -> BadInput:
    return BadInput(
        f"budget.rate.watts: auto cannot be measured here, as {reason}; state watts, such as 300, or on a machine "
        "with an NVIDIA card: pip install nvidia-ml-py"
    )
