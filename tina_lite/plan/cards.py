"""The cards whose speed is known: gpu_speed.csv beside this file, with its sources."""

import csv
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Card:
    """One card as its maker describes it."""

    name: str
    vram_gib: float
    tflops: float
    """Dense products in 16 bits with 32-bit accumulation."""
    bandwidth_gb_s: float
    watts: float
    """Of the board at the most."""
    source: str


@cache
def cards() -> tuple[Card, ...]:
    """All of them, in the file's order."""
    text = (Path(__file__).parent / "gpu_speed.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    return tuple(
        Card(
            name=row["gpu"],
            vram_gib=float(row["vram_gib"]),
            tflops=float(row["tflops"]),
            bandwidth_gb_s=float(row["bandwidth_gb_s"]),
            watts=float(row["watts"]),
            source=row["source"],
        )
        for row in rows
    )


def card_named(name: str) -> Card | None:
    """The card that a person or a driver calls so; of several sizes of one, the smallest.

    >>> card_named("4090").name, card_named("NVIDIA GeForce RTX 4090").name, card_named("a100").name
    ('RTX 4090', 'RTX 4090', 'A100 SXM4 40GB')
    >>> card_named("NVIDIA A100-SXM4-80GB").name
    'A100 PCIE 80GB'
    >>> card_named("RTX 3080 Ti"), card_named("RTX 4090 Laptop GPU"), card_named("")
    (None, None, None)
    """
    words, gigabytes = _words(name)
    fitting = [
        card
        for card in cards()
        if words and words == _words(card.name)[0] and (not gigabytes or gigabytes == {f"{card.vram_gib:g}gb"})
    ]
    return min(fitting, key=lambda card: card.vram_gib, default=None)


def slowest_with(vram_gib: float) -> Card | None:
    """The slowest card of at least so much memory: what can be promised of a card that is known by its memory alone."""
    fitting = [card for card in cards() if card.vram_gib >= vram_gib]
    return min(fitting, key=lambda card: (card.bandwidth_gb_s, card.tflops), default=None)


def _words(name: str) -> tuple[set[str], set[str]]:
    """What tells one model from another in a name, and its memory where that is part of the name."""
    words = {word for word in re.findall(r"[a-z0-9]+", name.lower()) if not _NOISE.fullmatch(word)}
    gigabytes = {word for word in words if re.fullmatch(r"\d+gb", word)}
    return words - gigabytes, gigabytes


_NOISE = re.compile(r"nvidia|geforce|tesla|rtx|gpu|generation|blackwell|edition|pcie|sxm\d?|hbm\d?e?")
