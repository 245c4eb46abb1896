"""The command tina-lite launch RECIPE."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tina_lite.cli.arguments import limits_in, recipe_from_options, recipe_options

if TYPE_CHECKING:
    from tina_lite.recipe import Recipe
    from tina_lite.rent.price import Price
    from tina_lite.rent.sky import SkyPilot
    from tina_lite.rent.task import Rental


@click.command()
@recipe_options
@click.option("--gpu", default="L4:1", show_default=True, metavar="NAME:1", help="A card, as SkyPilot names it.")
@click.option("--cloud", metavar="NAME", help="Rent there; default: the cheapest that you have an account with.")
@click.option(
    "--spot", is_flag=True, help="A machine that may be taken away; the run goes on on another. Needs --bucket."
)
@click.option(
    "--bucket", metavar="NAME", help="Keep the run in a bucket of the cloud instead of fetching it at the end."
)
@click.option("--dry-run", is_flag=True, help="Print the task and what it would cost; rent nothing.")
def launch(
    recipe: Path,
    settings: tuple[str, ...],
    model: str | None,
    rate: str | None,
    gpu: str,
    cloud: str | None,
    spot: bool,
    bucket: str | None,
    dry_run: bool,
    **bounds: Any,
) -> None:
    """Train as RECIPE says on a rented card, found and paid through SkyPilot.

    The budget is for all of it: booting, set-up, the run, and the minutes in which its results are fetched.
    """
    from tina_lite.rent.price import price_of
    from tina_lite.rent.sky import SkyPilot
    from tina_lite.rent.task import Rental, task_of, text_of
    from tina_lite.util.errors import BadInput

    loaded = recipe_from_options(recipe, settings, {"model.id": model, **limits_in(bounds)})
    if loaded.budget.max_usd is None:
        raise BadInput("launch rents with your money, so it needs a limit: --max-usd, or budget.max_usd in the recipe")
    if spot and not bucket:
        raise BadInput("--spot: a machine that is taken away takes its disk along; name a bucket with --bucket")
    name, _, number = gpu.partition(":")
    if number not in ("", "1"):
        raise BadInput(f"--gpu {gpu}: a run uses one card; write {name}:1")
    sky = SkyPilot()
    price = _given(rate) or price_of(sky.offers(name, cloud), gpu, spot=spot)
    rental = Rental(name, cloud, spot, bucket, price.usd_per_hour, loaded.budget.max_usd)
    folder = Path("launches") / loaded.name
    task = task_of(loaded, rental, folder)
    sky.check(task)
    text = text_of(task)
    (folder / "task.yaml").write_text(text, encoding="utf-8")
    click.echo(text)
    for line in _forecast(loaded, rental, price):
        click.echo(line)
    if not dry_run:
        _rent(sky, task["name"], folder / "task.yaml", rental)


def _given(rate: str | None) -> "Price | None":
    from tina_lite.budget.rates import resolve_rate
    from tina_lite.rent.price import Price

    if rate is None:
        return None
    usd = resolve_rate(rate, None, {}, None, True).usd_per_hour
    return Price(usd, usd, "--rate")


def _forecast(recipe: "Recipe", rental: "Rental", price: "Price") -> list[str]:
    from tina_lite.budget.money import format_price, format_usd
    from tina_lite.launch.planning import plan_run
    from tina_lite.plan import plan_lines
    from tina_lite.util.errors import BadInput

    hour = format_price(rental.rate)
    lines = [
        f"price:   at most {hour}/h ({price.source}); the cheapest asks {format_price(price.cheapest)}",
        f"limit:   {format_price(rental.max_usd)} for all of it; {format_usd(rental.beside_usd)} are for booting and "
        "for the wait at the end, and set-up is counted as it goes",
        "",
    ]
    try:
        budget = recipe.budget.model_copy(update={"max_usd": max(0.0, rental.max_usd - rental.beside_usd)})
        left = recipe.model_copy(update={"budget": budget})
        return lines + plan_lines(plan_run(left, rate=rental.rate, gpu=rental.gpu))
    except BadInput as error:
        return [*lines, f"no forecast: {error}"]


def _rent(sky: "SkyPilot", name: str, task: Path, rental: "Rental") -> None:
    """Rent, wait for the end, fetch the run, and give the machine back; a spot machine is SkyPilot's to look after."""
    from tina_lite.rent.task import IDLE_MINUTES
    from tina_lite.util.errors import BadInput

    if rental.spot:
        code = sky.call("jobs", "launch", "--yes", "--name", name, str(task))
    else:
        code = sky.call("launch", "--yes", "--cluster", name, str(task))
    if code:
        raise BadInput(f"SkyPilot ended with status {code}; `sky status` says whether a machine is still there")
    if rental.bucket:
        return
    if sky.fetch(name):
        raise BadInput(
            f"{name}: the run could not be fetched; it waits there for {IDLE_MINUTES} minutes: rsync {name}:runs/"
        )
    sky.call("down", "--yes", name)
