"""What an hour costs: --rate > recipe > TINA_LITE_RATE > electricity, if stated > prices by card > no guess."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tina_lite.budget.billing import UNITS_S
from tina_lite.budget.power import Power, card_power
from tina_lite.budget.prices import price_of, user_file
from tina_lite.errors import BadInput


@dataclass(frozen=True, slots=True)
class Rate:
    usd_per_hour: float
    """The most that it can come to, where electricity is measured."""
    source: str
    """Who said so, for people to read."""
    unit_s: float = 0.0
    """A session is billed in whole units of so many seconds; 0: for what it used."""
    power: Power | None = None
    """Where what is paid for is electricity as measured."""

    @property
    def binds(self) -> bool:
        """Whether a budget in dollars can ever be used up."""
        return self.usd_per_hour > 0.0


def resolve_rate(
    flag: float | str | None,
    recipe_rate: float | Mapping[str, Any] | None,
    environment: Mapping[str, str],
    card: str | None,
    budget_is_set: bool,
    billing: str = "second",
) -> Rate:
    """The rate of a run and where it comes from.

    Args:
        flag: what --rate says.
        recipe_rate: US dollars per hour, or electricity as {watts: number or "auto", usd_per_kwh}; None for auto.
        environment: TINA_LITE_RATE is looked up in it.
        card: its name as the driver gives it; None on a machine without one.
        budget_is_set: whether a price must be known.
        billing: the unit that a provider rounds a session up to, a key of `UNITS_S`. Electricity is never rounded.

    Raises:
        BadInput: the rate is no number of 0 or more, power cannot be measured, the user's price file is broken, or a
            budget is set and nobody knows the price.
    """
    price = _rent(flag, recipe_rate, environment, card)
    if price is not None:
        usd_per_hour, source = price
        unit_s = UNITS_S[billing]
        return Rate(usd_per_hour, f"{source}, billed by the {billing}" if unit_s else source, unit_s)
    if isinstance(recipe_rate, Mapping):
        return _electricity(recipe_rate["watts"], recipe_rate["usd_per_kwh"])
    if budget_is_set:
        what = f"the card {card!r} is not in the price catalogue" if card else "this machine has no NVIDIA card"
        own = f", or list the card in {user_file()}" if card else ""
        raise BadInput(
            f"a budget is set but no price is known: {what}; say --rate DOLLARS_PER_HOUR (0.20 is allowed){own}"
        )
    return Rate(0.0, "unknown")


def _rent(
    flag: float | str | None, recipe_rate: object, environment: Mapping[str, str], card: str | None
) -> tuple[float, str] | None:
    """US dollars per hour that somebody asks, and who said so; None where that is not known."""
    if flag is not None:
        return checked(flag, "--rate"), "--rate"
    if isinstance(recipe_rate, (int, float)):
        return checked(recipe_rate, "budget.rate"), "recipe"
    if environment.get("TINA_LITE_RATE"):
        return checked(environment["TINA_LITE_RATE"], "TINA_LITE_RATE"), "TINA_LITE_RATE"
    if recipe_rate is None and card and (offer := price_of(card)):
        return offer.usd_per_hour, f"{offer.listed_in}: {offer.gpu} at {offer.provider}"
    return None


def _electricity(watts: float | str, usd_per_kwh: float) -> Rate:
    if watts == "auto":
        power = card_power(usd_per_kwh)
        most = checked(power.most_watts / 1000 * usd_per_kwh, "budget.rate")
        return Rate(most, f"electricity as measured, at most {power.most_watts:g} W", power=power)
    return Rate(checked(float(watts) / 1000 * usd_per_kwh, "budget.rate"), f"electricity: {float(watts):g} W")


def checked(value: float | str, where: str) -> float:
    """A rate that can be reckoned with, or BadInput."""
    try:
        rate = float(value)
    except ValueError:
        rate = math.nan
    if not math.isfinite(rate) or rate < 0:
        raise BadInput(f"{where}: got {value!s}; needs US dollars per hour, 0 or more, such as 0.44")
    return rate
