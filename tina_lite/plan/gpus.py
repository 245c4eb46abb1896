"""Cards: those whose speed is known (gpu_speed.csv beside this file), their prices, and a run on another card."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tina_lite.budget import Offer, Rate
from tina_lite.budget.rates import offers_for
from tina_lite.plan.device import card_named, on_card
from tina_lite.plan.planner import make_plan
from tina_lite.policy.model_folder import read_shape
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


COMPARED = ("RTX 4090", "L40S", "H100 SXM", "RTX 3090", "A100 PCIE 80GB")
"""A card for the desk, the paper's, one of a data centre; the others stand in for one that is the run's own."""
CARDS_SHOWN = 3


@dataclass(frozen=True, slots=True)
class OtherGpu:
    """The same run on another card, reckoned and not measured."""

    gpu: str
    provider: str
    hours: float
    usd: float
    """At the card's cheapest offer."""


def on_other_gpus(recipe: Recipe, steps: int, tokens: Mapping[str, int], own_card: str | None) -> list[OtherGpu]:
    """Three other cards that the run fits.

    Args:
        recipe: the run's.
        steps: that were taken.
        tokens: prompt and completion tokens of all of them.
        own_card: the run's card; None on a CPU.
    """
    if not steps:
        return []
    own = card_named(own_card) if own_card else None
    shape, lengths = read_shape(recipe.model.id), _lengths(recipe, steps, tokens)
    shown: list[OtherGpu] = []
    for name in COMPARED:
        card, offers = card_named(name), offers_for(name)
        if card is None or card == own or not offers:
            continue
        plan = make_plan(shape, _unbound(recipe, steps), on_card(card, recipe.model.compute_dtype), lengths=lengths)
        if plan.fits and plan.hours is not None:
            offer = offers[0]
            shown.append(OtherGpu(name, offer.provider, plan.hours, plan.hours * offer.usd_per_hour))
    return shown[:CARDS_SHOWN]


def _lengths(recipe: Recipe, steps: int, tokens: Mapping[str, int]) -> dict[str, float]:
    """As shares of the longest that the recipe allows."""
    rollout = recipe.rollout
    prompts = steps * rollout.prompts_per_step
    completions = prompts * rollout.num_generations
    return {
        "prompt_share": min(1.0, tokens["prompt"] / prompts / rollout.max_prompt_length),
        "completion_share": min(1.0, tokens["completion"] / completions / rollout.max_completion_length),
    }


def _unbound(recipe: Recipe, steps: int) -> Recipe:
    """As many steps, and no other limit: a budget would make every card as dear."""
    changes: dict[str, Any] = {
        "budget": recipe.budget.model_copy(update={"max_usd": None}),
        "stop": recipe.stop.model_copy(update={"max_hours": None, "max_steps": steps}),
    }
    return recipe.model_copy(update=changes)
