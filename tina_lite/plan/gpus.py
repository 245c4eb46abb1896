"""Cards: those whose speed is known (gpu_speed.csv beside this file), and a recipe quoted on each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tina_lite.budget import Offer, Rate
from tina_lite.plan.device import card_named, on_card
from tina_lite.plan.planner import make_plan
from tina_lite.policy.shape import ModelShape
from tina_lite.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Quote:
    """Quotes a recipe on one card, by the card's figures and not by a measurement."""

    offers: Sequence[Offer]
    """Of the card, cheapest first."""
    fits: bool
    peak_bytes: int
    seconds_per_step: float
    hours: float | None
    """Of all planned steps, whatever budget the recipe has; None where the data alone bound them."""

    def usd(self, offer: Offer) -> float | None:
        """Compute the bill at that price."""
        return None if self.hours is None else self.hours * offer.usd_per_hour


def quotes(shape: ModelShape, recipe: Recipe, cards: Sequence[Sequence[Offer]]) -> Iterator[Quote]:
    """One quote for each card whose speed is known, in order.

    A budget would end the run at the same price everywhere, so what counts is the recipe without one.
    """
    budget = recipe.budget.model_copy(update={"max_usd": None})
    stop = recipe.stop.model_copy(update={"max_hours": None})
    unbound = recipe.model_copy(update={"budget": budget, "stop": stop})
    for offers in cards:
        card = card_named(offers[0].gpu)
        if card is None:
            continue
        device = on_card(card, recipe.model.compute_dtype, offers[0].vram_gib)
        plan = make_plan(shape, unbound, device, rate=Rate(offers[0].usd_per_hour, "catalogue"))
        yield Quote(offers, plan.fits, plan.memory.peak, plan.step.total, plan.hours)
