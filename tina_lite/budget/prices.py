"""What cards cost to rent: the catalogue that ships, gpu_prices.csv beside this file, and over it the user's prices.

The user's file is ~/.config/tina-lite/prices.csv (or below XDG_CONFIG_HOME), with the catalogue's columns. Its rows
replace every offer that the catalogue has for the same card.
"""

import csv
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tina_lite.disk import user_folder
from tina_lite.errors import BadInput

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
    """The offers that ship, in the file's order."""
    return tuple(_read(Path(__file__).parent / "gpu_prices.csv", CATALOGUE))


def known_offers() -> tuple[Offer, ...]:
    """The user's offers, then the catalogue's for every other card. BadInput where the user's file is broken."""
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
    """Offers of each card together, cheapest first; cards by their cheapest offer."""
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
    words, offered = _words(card), _words(offer.gpu)
    return offered <= words and words - offered <= {f"{offer.vram_gib:g}gb"}


def _words(name: str) -> set[str]:
    """What tells one card from another in a name; sockets and marketing words do not.

    >>> sorted(_words("NVIDIA H100 80GB HBM3")), sorted(_words("Tesla V100-SXM2-16GB"))
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
    if not _words(row["gpu"]):
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
