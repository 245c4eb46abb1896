"""What a run costs: the meter, the ledger, rates, stop rules, forecasts."""

from tina_lite.budget.forecast import Outlook, StepForecast, outlook
from tina_lite.budget.ledger import mean_rate, read_bills
from tina_lite.budget.meter import Meter, Reading
from tina_lite.budget.money import format_price, format_usd
from tina_lite.budget.prices import Offer, catalogue, known_offers, price_of
from tina_lite.budget.rates import Rate, resolve_rate
from tina_lite.budget.stops import Limits, StopRules

__all__ = [
    "Limits",
    "Meter",
    "Offer",
    "Outlook",
    "Rate",
    "Reading",
    "StepForecast",
    "StopRules",
    "catalogue",
    "format_price",
    "format_usd",
    "known_offers",
    "mean_rate",
    "outlook",
    "price_of",
    "read_bills",
    "resolve_rate",
]
