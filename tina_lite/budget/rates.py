"""What an hour costs: --rate > recipe > TINA_LITE_RATE > electricity, if stated > catalogue by card > no guess.

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
    """Offers of a card by its driver's name, cheapest first; none for a card that is only a relative.

    >>> [offer.provider for offer in offers_for("NVIDIA RTX A6000")]
    ['vast', 'lambda']
    >>> offers_for("NVIDIA GeForce RTX 3080 Ti")
    []
    """
    found = [offer for offer in catalogue() if _names(card, offer)]
    return sorted(found, key=lambda offer: offer.usd_per_hour)


def price_of(card: str) -> Offer | None:
    """The dearest offer of a card: a bill that is too high ends a run early, one that is too low breaks a promise.

    >>> price_of("NVIDIA L40S").usd_per_hour
    1.0
    """
    return max(offers_for(card), key=lambda offer: offer.usd_per_hour, default=None)


def _names(card: str, offer: Offer) -> bool:
    """Whether a card has every word of an offer and no other, its memory aside.

    A word more is another card: Ti, SUPER, D, Laptop, NVL.
    """
    words, offered = _words(card), _words(offer.gpu)
    return offered <= words and words - offered <= {f"{offer.vram_gib:g}gb"}


def _words(name: str) -> set[str]:
    """What tells one card from another in a name; sockets and marketing words do not.

    >>> sorted(_words("NVIDIA H100 80GB HBM3")), sorted(_words("Tesla V100-SXM2-16GB"))
    (['80gb', 'h100'], ['16gb', 'v100'])
    """
    return {word for word in re.findall(r"[a-z0-9]+", name.lower()) if not _NOISE.fullmatch(word)}


_NOISE = re.compile(r"nvidia|geforce|tesla|rtx|gpu|generation|blackwell|edition|pcie|sxm\d?|hbm\d?e?")


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
    if recipe_rate is None and card and (offer := price_of(card)):
        return Rate(offer.usd_per_hour, f"catalogue: {offer.gpu} at {offer.provider}")
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
