"""Which architectures the portable engine computes as transformers and peft do, as bench/models.py has tried them."""

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tina_lite.errors import BadInput

TABLE = Path(__file__).with_name("architectures.csv")


@dataclass(frozen=True, slots=True)
class Architecture:
    """One row of the table: largest differences over a tiny random model in float32."""

    kind: str
    """model_type of a config.json."""
    engine: str
    log_prob: float | None
    """Nats."""
    gradient: float | None
    """As a share of the norm of a tensor's gradient."""
    greedy: str
    """Texts of a group that are equal, of all."""
    refused: str
    """Why; empty where it is accepted."""

    def cells(self) -> tuple[str, ...]:
        figures = ("" if value is None else f"{value:.1e}" for value in (self.log_prob, self.gradient))
        return (self.kind, self.engine, *figures, self.greedy, self.refused)

    def __str__(self) -> str:
        if self.refused:
            return f"{self.kind}: refused, {self.refused}"
        return (
            f"{self.kind}: {self.engine}, log-probs within {self.log_prob:.1e} nats of transformers, gradients within "
            f"{self.gradient:.1e} of their norm, {self.greedy} greedy texts equal"
        )


@cache
def architectures() -> dict[str, Architecture]:
    """By model_type."""
    with TABLE.open(newline="") as file:
        rows = [list(row.values()) for row in csv.DictReader(file)]
    return {
        kind: Architecture(kind, engine, _number(log_prob), _number(gradient), greedy, refused)
        for kind, engine, log_prob, gradient, greedy, refused in rows
    }


def refuse_architecture(kind: str) -> None:
    """BadInput for one that is known not to be computed right; one that nobody tried is compared as it is loaded."""
    known = architectures().get(kind)
    if known is not None and known.refused:
        raise BadInput(f"model.id: {kind} is not supported: {known.refused}; choose another model")


def _number(cell: str) -> float | None:
    return float(cell) if cell else None
