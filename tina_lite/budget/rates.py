"""What an hour costs: --rate > recipe > TINA_LITE_RATE > catalogue by card > electricity > refuse to guess.

The catalogue is gpu_prices.csv beside this file, with its sources. A starting point, never the truth.
"""

import csv
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tina_lite.errors import BadInput


@dataclass(frozen=True, slots=True)
class Rate:
    usd_per_hour: float
    source: str
    """Who said so, for people to read."""

    @property
    def binds(self) -> bool:
        """Whether a budget in dollars can ever be used up."""
        return self.usd_per_hour > 0.0


@dataclass(frozen=True, slots=True)
class Offer:
    """One price of the catalogue."""

    gpu: str
    vram_gib: float
    provider: str
    usd_per_hour: float
    source: str


@cache
def catalogue() -> tuple[Offer, ...]:
    """All offers, in the file's order."""
    text = (Path(__file__).parent / "gpu_prices.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(line for line in text.splitlines() if line and not line.startswith("#"))
    return tuple(
        Offer(row["gpu"], float(row["vram_gib"]), row["provider"], float(row["usd_per_hour"]), row["source"])
        for row in rows
    )


def offers_for(card: str) -> list[Offer]:
    """Offers of a card by its driver's name, cheapest first.

    >>> {offer.gpu for offer in offers_for("NVIDIA GeForce RTX 4090")}
    {'RTX 4090'}
    """
    words = _words(card)
    named = [offer for offer in catalogue() if _words(offer.gpu) <= words]
    # "RTX 4070" is in "RTX 4070 Ti" as well: the name with the most words is meant.
    most = max((len(_words(offer.gpu)) for offer in named), default=0)
    return sorted((o for o in named if len(_words(o.gpu)) == most), key=lambda offer: offer.usd_per_hour)


def _words(name: str) -> set[str]:
    return set(re.findall(r"[a-z0-9]+", name.lower())) - {"nvidia", "geforce", "tesla", "pcie", "sxm"}


def resolve_rate(
    flag: float | str | None,
    recipe_rate: float | Mapping[str, float] | None,
    environment: Mapping[str, str],
    card: str | None,
    budget_is_set: bool,
) -> Rate:
    """The rate of a run and where it comes from. BadInput where a budget is set and nobody knows the price."""
    if flag is not None:
        return Rate(checked(flag, "--rate"), "--rate")
    if isinstance(recipe_rate, (int, float)):
        return Rate(checked(recipe_rate, "budget.rate"), "recipe")
    if environment.get("TINA_LITE_RATE"):
        return Rate(checked(environment["TINA_LITE_RATE"], "TINA_LITE_RATE"), "TINA_LITE_RATE")
    if recipe_rate is None and card and (offers := offers_for(card)):
        return Rate(offers[0].usd_per_hour, f"catalogue: {offers[0].gpu} at {offers[0].provider}")
    if recipe_rate is not None:
        kwh_per_hour = recipe_rate["watts"] / 1000
        return Rate(kwh_per_hour * recipe_rate["usd_per_kwh"], f"electricity: {recipe_rate['watts']:g} W")
    if budget_is_set:
        what = f"the card {card!r} is not in the price catalogue" if card else "this machine has no NVIDIA card"
        raise BadInput(f"a budget is set but no price is known: {what}; say --rate DOLLARS_PER_HOUR (0.20 is allowed)")
    return Rate(0.0, "unknown")


def checked(value: float | str, where: str) -> float:
    """A rate that can be reckoned with, or BadInput."""
    try:
        rate = float(value)
    except ValueError:
        rate = math.nan
    if not math.isfinite(rate) or rate < 0:
        raise BadInput(f"{where}: got {value!s}; needs US dollars per hour, 0 or more, such as 0.44")
    return rate
