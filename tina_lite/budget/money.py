"""Dollars as people read them, and hours as providers bill them."""

from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from math import floor

EXACT = Context(prec=400)
"""Any float has room in it; the process's own precision is anybody's to set, and libraries do."""


def format_usd(usd: float) -> str:
    """Write dollars rounded up: 4 decimals under $1, 2 from there on.

    >>> format_usd(0.00421), format_usd(0.01), format_usd(0.99999), format_usd(8.981), format_usd(1234.5)
    ('$0.0043', '$0.0100', '$1.00', '$8.99', '$1,234.50')
    """
    exact = Decimal(repr(float(usd)))  # the shortest decimal that reads back as this float: 0.01 stays a cent
    fine = _up(exact, "0.0001")
    return f"${fine:,.4f}" if fine < 1 else f"${_up(exact, '0.01'):,.2f}"


def format_price(usd: float) -> str:
    """Write a rate or a cap, rounded up as well, without zeros beyond the cents.

    >>> format_price(0.2), format_price(0.0125), format_price(9)
    ('$0.20', '$0.0125', '$9.00')
    """
    text = format_usd(usd)
    cents = text.index(".") + 3
    return text[:cents] + text[cents:].rstrip("0")


def format_saving(usd: float) -> str:
    """Dollars rounded down, as what was saved should be.

    >>> format_saving(0.05 - 0.02), format_saving(0.03999), format_saving(2.349)
    ('$0.0300', '$0.0399', '$2.34')
    """
    exact = Decimal(repr(round(float(usd), 10)))  # 0.05 - 0.02 is a hair short of 3 cents
    unit = "0.01" if exact >= 1 else "0.0001"
    return f"${exact.quantize(Decimal(unit), ROUND_FLOOR, EXACT):,}"


def _up(usd: Decimal, unit: str) -> Decimal:
    return EXACT.plus(usd.quantize(Decimal(unit), ROUND_CEILING, EXACT))  # plus: nothing is -0.0000


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
