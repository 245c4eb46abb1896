"""What the catalogue asks for a card, and what a rented hour is taken to cost."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tina_lite.util.errors import BadInput

NEAR = 1.1
"""Offers of up to so many times the cheapest are taken too: the cheapest region is often sold out."""


@dataclass(frozen=True, slots=True)
class Price:
    """What an hour may cost."""

    usd_per_hour: float
    """Of the dearest offer that is taken: with it the budget holds wherever the machine is found."""
    cheapest: float
    source: str


def price_of(offers: Iterable[Mapping[str, Any]], gpu: str, *, spot: bool) -> Price:
    """The price by a catalogue's offers. BadInput where there is none.

    >>> offers = [{"cloud": "GCP", "price": usd, "spot_price": usd / 2} for usd in (0.70, 0.75, 0.90)]
    >>> price_of(offers, "L4:1", spot=False)
    Price(usd_per_hour=0.75, cheapest=0.7, source='SkyPilot: GCP')
    """
    asked = [(float(one["spot_price" if spot else "price"] or math.nan), str(one["cloud"])) for one in offers]
    known = [(usd, cloud) for usd, cloud in asked if usd > 0]
    if not known:
        kind = "spot machine" if spot else "machine"
        raise BadInput(f"--gpu {gpu}: SkyPilot's catalogue has no {kind} with it; `sky gpus list --all` has the names")
    cheapest = min(known)[0]
    near = [(usd, cloud) for usd, cloud in known if usd <= NEAR * cheapest]
    clouds = ", ".join(sorted({cloud for _, cloud in near}))
    return Price(max(near)[0], cheapest, f"SkyPilot: {clouds}")
