"""The commands tina-lite plan RECIPE, and tina-lite gpus."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tina_lite.cli.arguments import NUMBER, limits_in, named, recipe_from_options, recipe_options
from tina_lite.recipe import with_local_paths

if TYPE_CHECKING:
    from tina_lite.budget import Offer
    from tina_lite.plan import Quote


@click.command()
@recipe_options
@click.option("--gpu", metavar="NAME", help="Plan for this card instead of this machine.")
@click.option("--vram", type=NUMBER, metavar="GIB", help="Plan for a card of so much memory.")
@click.option(
    "--run",
    "--like",
    "folder",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="A run that corrects the forecast.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def plan(
    recipe: Path,
    settings: tuple[str, ...],
    model: str | None,
    rate: str | None,
    gpu: str | None,
    vram: float | None,
    folder: Path | None,
    as_json: bool,
    **bounds: Any,
) -> None:
    """What RECIPE will need: memory by part, seconds a step, hours, dollars. Loads no model.

    The forecast is corrected by what a run has shown: the one that --run names, else the newest of the recipe's name
    in runs/.
    """
    from tina_lite.launch.planning import plan_run
    from tina_lite.plan import newest_measured, plan_lines, plan_record, read_measured
    from tina_lite.runs.folder import RUNS

    loaded = recipe_from_options(recipe, settings, {"model.id": model, **limits_in(bounds)})
    measured = read_measured(Path(named(str(folder)))) if folder else newest_measured(RUNS, loaded.name)
    planned = plan_run(loaded, rate=rate, gpu=gpu, vram_gib=vram, measured=measured)
    if as_json:
        click.echo(json.dumps(plan_record(planned)))
        return
    for line in plan_lines(planned):
        click.echo(line)


@click.command()
@click.option("--recipe", type=click.Path(path_type=Path), help="Say which it fits, and what it would cost on each.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def gpus(recipe: Path | None, as_json: bool) -> None:
    """Cards that are known by name, with their memory and what an hour costs; the cheapest first."""
    from tina_lite.budget.rates import by_card, known_offers, user_file

    cards = by_card(known_offers())
    if recipe is not None:
        _show_quotes(recipe, cards, as_json)
        return
    if as_json:
        click.echo(json.dumps({"cards": [as_record(offers) for offers in cards]}))
        return
    for line in table(cards):
        click.echo(line)
    click.echo(
        "\nUS dollars an hour for one card. Where a run has no other rate, the dearest offer counts.\n"
        f"Prices move; your own go into {user_file()}"
    )


def _show_quotes(recipe: Path, cards: "Sequence[Sequence[Offer]]", as_json: bool) -> None:
    from tina_lite.cli.arguments import recipe_from_options
    from tina_lite.plan import quotes, read_shape

    loaded = with_local_paths(recipe_from_options(recipe, (), {}))
    quoted = list(quotes(read_shape(loaded.model.id), loaded, cards))
    if as_json:
        click.echo(json.dumps({"recipe": loaded.name, "cards": [quote_record(quote) for quote in quoted]}))
        return
    for line in quote_table(quoted):
        click.echo(line)
    steps = f"{loaded.stop.max_steps:,} steps" if loaded.stop.max_steps else "set stop.max_steps for hours and dollars"
    click.echo(f"\n{loaded.name}: {steps}, without its budget; by the makers' figures, measured on none of these cards")


def quote_record(quote: "Quote") -> dict[str, object]:
    """One card for a program; None stands for what is not known."""
    costs = [{"provider": offer.provider, "usd": quote.usd(offer)} for offer in quote.offers]
    numbers = {"fits": quote.fits, "peak_gib": round(quote.peak_bytes / 1024**3, 3), "hours": quote.hours}
    return {**as_record(quote.offers), **numbers, "seconds_per_step": quote.seconds_per_step, "costs": costs}


def quote_table(quoted: Sequence["Quote"]) -> list[str]:
    """A line a card, those that the recipe fits first, then by price."""
    from tina_lite.budget.money import format_usd

    rows = [("card", "VRAM", "fits", "a step", "hours", "cost")]
    for quote in sorted(quoted, key=lambda quote: (not quote.fits, quote.usd(quote.offers[0]) or 0.0)):
        hours = "?" if quote.hours is None else f"{quote.hours:.2f}"
        costs = [
            f"{offer.provider} {format_usd(usd)}" for offer in quote.offers if (usd := quote.usd(offer)) is not None
        ]
        cells = (
            f"{quote.offers[0].vram_gib:g} GiB",
            "yes" if quote.fits else "no",
            f"{quote.seconds_per_step:.1f} s",
            hours,
        )
        rows.append((quote.offers[0].gpu, *cells, ", ".join(costs) or "?"))
    width = max(len(card) for card, *_ in rows)
    return [
        f"{card:{width}}  {vram:>7}  {fits:>4}  {step:>8}  {hours:>7}  {cost}"
        for card, vram, fits, step, hours, cost in rows
    ]


def as_record(offers: Sequence["Offer"]) -> dict[str, object]:
    """Give one card as a record for a program."""
    first, *_ = offers
    prices = [{name: value for name, value in asdict(offer).items() if name not in CARD} for offer in offers]
    return {**{name: getattr(first, name) for name in CARD}, "offers": prices}


def table(cards: Sequence[Sequence["Offer"]]) -> list[str]:
    """Write a line for each card, for people."""
    rows = [("card", "VRAM", "price by provider")]
    rows += [(offers[0].gpu, f"{offers[0].vram_gib:g} GiB", ", ".join(map(price, offers))) for offers in cards]
    width = max(len(card) for card, _, _ in rows)
    return [f"{card:{width}}  {vram:>7}  {prices}" for card, vram, prices in rows]


def price(offer: "Offer") -> str:
    """An offer, with the file where it is not the catalogue's.

    >>> from tina_lite.budget import Offer
    >>> price(Offer("L40S", 48, "desk", 0.0125, "", "prices.csv"))
    'desk $0.0125 (prices.csv)'
    """
    from tina_lite.budget.money import format_price
    from tina_lite.budget.rates import CATALOGUE

    listed = "" if offer.listed_in == CATALOGUE else f" ({offer.listed_in})"
    return f"{offer.provider} {format_price(offer.usd_per_hour)}{listed}"


CARD = ("gpu", "vram_gib")
