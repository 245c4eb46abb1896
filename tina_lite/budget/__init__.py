"""What a run costs: the meter, the ledger, rates, stop rules, forecasts."""

from tina_lite.budget.forecast import StepForecast
from tina_lite.budget.ledger import read_bills
from tina_lite.budget.meter import Meter, Reading
from tina_lite.budget.money import format_usd
from tina_lite.budget.rates import Rate, resolve_rate
from tina_lite.budget.stops import Limits, StopRules

__all__ = [
    "Limits",
    "Meter",
    "Rate",
    "Reading",
    "StepForecast",
    "StopRules",
    "format_usd",
    "read_bills",
    "resolve_rate",
]
