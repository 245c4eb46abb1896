"""What a provider bills for a session: the time in whole units, rounded up."""

from math import floor

UNITS_S = {"second": 0.0, "minute": 60.0, "hour": 3600.0}
"""Seconds by the recipe's name of a unit. By the second is what was used, so that a stopwatch agrees with the bill."""
FOREVER_S = 1e12
"""No limit is farther away: of a rate or a budget beyond all sense whole numbers can be made still."""


def billed_s(seconds: float, unit_s: float) -> float:
    """Seconds that a session of so many is billed for; a unit of 0 s bills what was used.

    >>> billed_s(61.2, 60), billed_s(60, 60), billed_s(61.2, 0)
    (120.0, 60.0, 61.2)
    """
    # Floor division is exact where dividing and rounding up would lose a last bit, and with it a unit.
    return float(-(-seconds // unit_s) * unit_s) if unit_s else float(seconds)


def affordable_s(usd_left: float, rate: float, elapsed_s: float, unit_s: float) -> float:
    """Seconds that a session of `elapsed_s` may go on until its bill would grow by more than `usd_left`.

    Args:
        usd_left: beyond what is billed already.
        rate: US dollars per hour, above 0.

    At $1 an hour and by the hour, half a dollar buys no further hour, but the one that was begun is paid for:

    >>> affordable_s(0.5, 1.0, elapsed_s=600, unit_s=3600), affordable_s(0.5, 1.0, elapsed_s=600, unit_s=0)
    (3000.0, 1800.0)
    """
    buys_s = min(usd_left / rate * 3600, FOREVER_S)
    if not unit_s:
        return buys_s
    units = floor(round(buys_s / unit_s, 9))  # rounded: (0.3 - 0.2) / 0.1 is one unit
    return billed_s(elapsed_s, unit_s) - elapsed_s + units * unit_s
