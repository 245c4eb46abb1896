"""What a run costs: the meter, the ledger, rates. Stop rules and forecasts are in limits.py."""

from tina_lite.budget.ledger import mean_rate, read_bills
from tina_lite.budget.meter import Meter, Reading
from tina_lite.budget.money import format_price, format_usd
from tina_lite.budget.rates import Offer, Rate, catalogue, known_offers, price_of, resolve_rate

__all__ = [
    "Meter",
    "Offer",
    "Rate",
    "Reading",
    "catalogue",
    "format_price",
    "format_usd",
    "known_offers",
    "mean_rate",
    "price_of",
    "read_bills",
    "resolve_rate",
]
