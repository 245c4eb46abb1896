"""What a run costs: the meter, the ledger, rates, stop rules, forecasts."""

from tina_lite.budget.forecast import Outlook, StepForecast, outlook
from tina_lite.budget.ledger import read_bills
from tina_lite.budget.meter import Meter, Reading
from tina_lite.budget.money import format_usd
from tina_lite.budget.rates import Rate, catalogue, price_of, resolve_rate
from tina_lite.budget.stops import Limits, StopRules

__all__ = [
    "Limits",
    "Meter",
    "Outlook",
    "Rate",
    "Reading",
    "StepForecast",
    "StopRules",
    "catalogue",
    "format_usd",
    "outlook",
    "price_of",
    "read_bills",
    "resolve_rate",
]
