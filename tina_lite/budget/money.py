"""How dollars are written for people: never less than was spent, never more than was saved."""

from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal

EXACT = Context(prec=400)
"""Any float has room in it; the process's own precision is anybody's to set, and libraries do."""


def format_usd(usd: float) -> str:
    """Dollars rounded up: 4 decimals under $1, 2 from there on.

    >>> format_usd(0.00421), format_usd(0.01), format_usd(0.99999), format_usd(8.981), format_usd(1234.5)
    ('$0.0043', '$0.0100', '$1.00', '$8.99', '$1,234.50')
    """
    exact = Decimal(repr(float(usd)))  # the shortest decimal that reads back as this float: 0.01 stays a cent
    fine = _up(exact, "0.0001")
    return f"${fine:,.4f}" if fine < 1 else f"${_up(exact, '0.01'):,.2f}"


def format_price(usd: float) -> str:
    """A rate or a cap, rounded up as well, without zeros beyond the cents.

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
