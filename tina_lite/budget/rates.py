"""What an hour costs: a card's price, electricity as it is measured, and which of them binds."""

import csv
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tina_lite.budget.money import UNITS_S
from tina_lite.util.device import visible_card
from tina_lite.util.disk import user_folder
from tina_lite.util.errors import BadInput

# Electricity as measured: what an NVIDIA card draws, sampled and summed over the time of a session.
#
# It meets the meter in one number, the joules so far: they make the session's mean rate. What a limit is reckoned with
# is the most that the card may draw, so a cap holds whatever the card does next.

SAMPLE_S = 1.0
"""Seconds between samples; the driver itself averages over about one."""
JOULES_PER_KWH = 3.6e6


@dataclass(frozen=True, slots=True)
class Power:
    """A card that can be asked for its power, and what a kilowatt-hour costs."""

    watts: Callable[[], float]
    """Asks the card; never fails."""
    most_watts: float
    usd_per_kwh: float


class EnergyMeter:
    """Counts joules since a session began. One thread samples; any may read.

    What was drawn before the first sample is charged at the first sample's power, what was drawn since the last at
    the last's: the sum never shrinks and never jumps.
    """

    def __init__(self, power: Power) -> None:
        self.usd_per_kwh = power.usd_per_kwh
        self._watts = power.watts
        self._last = (0.0, 0.0, power.watts())
        """Joules, seconds of the session and watts at the last sample; replaced whole, so that no lock is needed."""

    def sample(self, elapsed_s: float) -> None:
        """Ask the card, `elapsed_s` into the session."""
        self._last = (self.joules(elapsed_s), elapsed_s, self._watts())

    def joules(self, elapsed_s: float) -> float:
        """Give the joules up to a moment of the session."""
        joules, sampled_s, watts = self._last
        return joules + watts * max(0.0, elapsed_s - sampled_s)


def dollars(joules: float, usd_per_kwh: float) -> float:
    """What energy costs.

    >>> dollars(450 * 3600, 0.30)
    0.135
    """
    return joules / JOULES_PER_KWH * usd_per_kwh


def card_power(usd_per_kwh: float) -> Power:
    """The power of the card in use, through NVML. BadInput where it cannot be had."""
    try:
        import pynvml
    except ImportError:
        raise _cannot("nvidia-ml-py is not installed") from None
    try:
        pynvml.nvmlInit()
        card = _card(pynvml)
        most_watts = float(pynvml.nvmlDeviceGetEnforcedPowerLimit(card) / 1000)
        pynvml.nvmlDeviceGetPowerUsage(card)
    except pynvml.NVMLError as error:
        raise _cannot(f"NVML says: {error}") from None

    def watts() -> float:
        try:
            return float(pynvml.nvmlDeviceGetPowerUsage(card) / 1000)
        except pynvml.NVMLError:
            return most_watts  # nobody knows, so nothing is given away

    return Power(watts, most_watts, usd_per_kwh)


def _card(pynvml: Any) -> Any:
    """NVML's handle of the card that a run uses."""
    card = visible_card()
    if card is None:
        raise _cannot("CUDA_VISIBLE_DEVICES hides every card")
    if card.isdigit():
        return pynvml.nvmlDeviceGetHandleByIndex(int(card))
    return pynvml.nvmlDeviceGetHandleByUUID(card)


def _cannot(reason: str) -> BadInput:
    return BadInput(
        f"budget.rate.watts: auto cannot be measured here, as {reason}; state watts, such as 300, or on a machine "
        "with an NVIDIA card: pip install nvidia-ml-py"
    )


# What cards cost to rent: the catalogue that ships, gpu_prices.csv beside this file, and over it the user's prices.
#
# The user's file is ~/.config/tina-lite/prices.csv (or below XDG_CONFIG_HOME), with the catalogue's columns. Its rows
# replace every offer that the catalogue has for the same card.

CATALOGUE = "catalogue"
COLUMNS = ("gpu", "vram_gib", "provider", "usd_per_hour", "source")
OPTIONAL = {"source"}


@dataclass(frozen=True, slots=True)
class Offer:
    """What an hour of one card costs at one provider."""

    gpu: str
    vram_gib: float
    provider: str
    usd_per_hour: float
    source: str
    """Where the price is from, for people to read; may be empty in a user's file."""
    listed_in: str = CATALOGUE
    """The list that the offer stands in: catalogue, or the name of the user's file."""


def user_file() -> Path:
    """Where the user's own prices stand, if there are any."""
    return user_folder("XDG_CONFIG_HOME", "~/.config") / "prices.csv"


@cache
def catalogue() -> tuple[Offer, ...]:
    """Read the offers that ship, in the file's order."""
    return tuple(_read(Path(__file__).parent / "gpu_prices.csv", CATALOGUE))


def known_offers() -> tuple[Offer, ...]:
    """List the user's offers, then the catalogue's for every other card. BadInput where the user's file is broken."""
    own = _own_offers(user_file())
    others = (offer for offer in catalogue() if not any(_same_card(offer, mine) for mine in own))
    return (*own, *others)


def offers_for(card: str) -> list[Offer]:
    """Offers of a card by its driver's name, cheapest first; none for a card that is only a relative.

    >>> [offer.provider for offer in offers_for("NVIDIA RTX A6000")]
    ['vast', 'lambda']
    >>> offers_for("NVIDIA GeForce RTX 3080 Ti")
    []
    """
    found = [offer for offer in known_offers() if _names(card, offer)]
    return sorted(found, key=lambda offer: offer.usd_per_hour)


def price_of(card: str) -> Offer | None:
    """The dearest offer of a card: a bill that is too high ends a run early, one that is too low breaks a promise.

    >>> price_of("NVIDIA L40S").usd_per_hour
    1.0
    """
    return max(offers_for(card), key=lambda offer: offer.usd_per_hour, default=None)


def by_card(offers: Iterable[Offer]) -> list[list[Offer]]:
    """Group offers by card, cheapest first; cards are in the order of their cheapest offer."""
    cards: list[list[Offer]] = []
    for offer in sorted(offers, key=lambda offer: (offer.usd_per_hour, offer.gpu)):
        same = next((card for card in cards if _same_card(card[0], offer)), None)
        if same is None:
            cards.append([offer])
        else:
            same.append(offer)
    return cards


def _same_card(one: Offer, other: Offer) -> bool:
    return _names(one.gpu, other) or _names(other.gpu, one)


def _names(card: str, offer: Offer) -> bool:
    """Whether a card has every word of an offer and no other, its memory aside.

    A word more is another card: Ti, SUPER, D, Laptop, NVL.
    """
    words, offered = card_words(card), card_words(offer.gpu)
    return offered <= words and words - offered <= {f"{offer.vram_gib:g}gb"}


def card_words(name: str) -> set[str]:
    """What tells one card from another in a name; sockets and marketing words do not.

    >>> sorted(card_words("NVIDIA H100 80GB HBM3")), sorted(card_words("Tesla V100-SXM2-16GB"))
    (['80gb', 'h100'], ['16gb', 'v100'])
    """
    return {word for word in re.findall(r"[a-z0-9]+", name.lower()) if not _NOISE.fullmatch(word)}


_NOISE = re.compile(r"nvidia|geforce|tesla|rtx|gpu|generation|blackwell|edition|pcie|sxm\d?|hbm\d?e?")


def _own_offers(path: Path) -> list[Offer]:
    """None where there is no such file."""
    try:
        return list(_read(path, path.name))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}); mend it or move it away") from None
    except UnicodeDecodeError:
        raise BadInput(f"{path}: is not text in UTF-8; save it as CSV in UTF-8") from None


def _read(path: Path, listed_in: str) -> Iterator[Offer]:
    header: list[str] | None = None
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            (cells,) = csv.reader([line], strict=True)
            if header is None:
                header = _header([cell.strip() for cell in cells])
            else:
                yield _offer(dict(zip(header, _as_many(cells, header))), listed_in)
        except (ValueError, csv.Error) as fault:
            raise BadInput(f"{path}:{number}: {fault}") from None


def _header(cells: list[str]) -> list[str]:
    missing = [column for column in COLUMNS if column not in cells and column not in OPTIONAL]
    unknown = [cell for cell in cells if cell not in COLUMNS]
    if missing or unknown or len(set(cells)) < len(cells):
        raise ValueError(f"the first line must name the columns {','.join(COLUMNS)} (source may be left out)")
    return cells


def _as_many(cells: list[str], header: list[str]) -> list[str]:
    if len(cells) != len(header):
        raise ValueError(f"has {len(cells)} cells; needs {len(header)}: {','.join(header)}")
    return [cell.strip() for cell in cells]


def _offer(row: dict[str, str], listed_in: str) -> Offer:
    for column in ("gpu", "provider"):
        if not row[column]:
            raise ValueError(f"{column} is empty")
    vram_gib, usd_per_hour = _number(row, "vram_gib"), _number(row, "usd_per_hour")
    if vram_gib == 0:
        raise ValueError("vram_gib: got 0; needs GiB, more than 0")
    if not card_words(row["gpu"]):
        raise ValueError(f"gpu: {row['gpu']!r} names no card; needs a name such as RTX 4090")
    return Offer(row["gpu"], vram_gib, row["provider"], usd_per_hour, row.get("source", ""), listed_in)


def _number(row: dict[str, str], column: str) -> float:
    try:
        number = float(row[column])
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or number < 0:
        raise ValueError(f"{column}: got {row[column]!r}; needs a number, 0 or more, such as 0.44")
    return number


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
            f"a budget is set but no price is known: {what}; say --rate DOLLARS_PER_HOUR (0.20 is allowed){own}; "
            "more: tina-lite docs budget"
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
