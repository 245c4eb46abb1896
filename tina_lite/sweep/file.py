"""A sweep file: a base recipe, what is changed in it, seeds, and one budget for all.

    recipe: quickstart
    grid: {optim.learning_rate: [5.0e-4, 1.0e-3], lora.r: [8, 16]}
    seeds: [1, 2, 3]
    budget: {max_usd: 1.00, rate: 0.20}

`random` draws instead of going through all; `settings` lists changes one by one. Each setting is run with each seed.
"""

import itertools
import math
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from tina_lite.recipe import Recipe, load_recipe
from tina_lite.recipe.fields import Section
from tina_lite.recipe.file import find_recipe, plain, read_yaml
from tina_lite.util.errors import BadInput

Changes = Mapping[str, Any]
"""Dotted fields of a recipe, and their values."""
MOST_TRIALS = 10_000
OWN = ("budget.max_usd", "seed", "name")
"""Fields that a sweep sets itself."""


class RangeSection(Section):
    """Draws between two bounds, evenly or evenly in their logarithm."""

    min: float
    max: float
    log: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> "RangeSection":
        if not self.min < self.max or (self.log and self.min <= 0):
            raise ValueError("min must be less than max, and above 0 with log: true")
        return self

    def draw(self, draw: random.Random) -> float:
        if self.log:
            return math.exp(draw.uniform(math.log(self.min), math.log(self.max)))
        return draw.uniform(self.min, self.max)


class RandomSection(Section):
    """So many settings, each field drawn from its range or its list."""

    settings: Annotated[int, Field(ge=1, le=MOST_TRIALS)]
    fields: dict[str, RangeSection | list[Any]]
    seed: int = 0


class SweepBudget(Section):
    """One bill for all trials."""

    max_usd: Annotated[float, Field(gt=0)]
    rate: Annotated[float, Field(ge=0)] | None = None
    """US dollars an hour of one machine; default: what is known of its card."""


class PerTrial(Section):
    """What a trial takes of a machine."""

    gpus: Annotated[float, Field(ge=0)] = 0
    cpus: Annotated[float, Field(gt=0)] = 1


class SweepFile(Section):
    """Holds a sweep as it is written."""

    recipe: str
    name: str | None = None
    grid: dict[str, Annotated[list[Any], Field(min_length=1)]] = {}
    random: RandomSection | None = None
    settings: list[dict[str, Any]] = []
    seeds: Annotated[list[int], Field(min_length=1)] = [1]
    budget: SweepBudget
    per_trial: PerTrial = PerTrial()
    scheduler: Literal["none", "asha"] = "none"


@dataclass(frozen=True, slots=True)
class Trial:
    """One run of a sweep."""

    number: int
    """From 1."""
    setting: int
    """Trials that differ in their seed alone have the same."""
    changes: Changes
    seed: int
    recipe: Recipe

    @property
    def label(self) -> str:
        """What sets it apart, for people: learning_rate=0.001 r=8."""
        return label_of(self.changes)

    @property
    def folder(self) -> str:
        """Its folder's name.

        >>> re.sub(r"[^\\w.=+-]+", "-", "data.source=a b/c")
        'data.source=a-b-c'
        """
        words = [f"{self.number:03d}", *self.label.split(), f"seed={self.seed}"]
        return re.sub(r"[^\w.=+-]+", "-", "-".join(words))[:100]


def label_of(changes: Changes) -> str:
    """Fields by the last part of their names, where that tells them apart.

    >>> label_of({"optim.learning_rate": 1e-3, "lora.r": 8}), label_of({"model.id": "a", "data.id": 3}), label_of({})
    ('learning_rate=0.001 r=8', 'model.id=a data.id=3', 'as it is')
    """
    last = [field.rpartition(".")[2] for field in changes]
    names = [short if last.count(short) == 1 else field for short, field in zip(last, changes, strict=True)]
    return " ".join(f"{name}={value}" for name, value in zip(names, changes.values(), strict=True)) or "as it is"


def read_sweep(path: Path) -> SweepFile:
    """Read a sweep file. BadInput, with file and field, where it cannot be."""
    try:
        return SweepFile.model_validate(plain(read_yaml(path)))
    except ValidationError as error:
        faults = [f"{path}: {'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
        raise BadInput("\n".join(dict.fromkeys(faults))) from None


def trials_of(sweep: SweepFile, path: Path) -> list[Trial]:
    """Every trial, its recipe checked, in order: settings as they are listed, and of each its seeds.

    BadInput where a recipe is wrong, two settings are the same, or there are too many.
    """
    base = path.parent / sweep.recipe
    recipe = base if base.is_file() else find_recipe(Path(sweep.recipe))
    settings = list(itertools.islice(_settings(sweep), MOST_TRIALS + 1))
    if len(settings) * len(sweep.seeds) > MOST_TRIALS:
        raise BadInput(f"{path}: more than {MOST_TRIALS:,} trials; take fewer values, or `random` with fewer settings")
    for field in sorted({field for changes in settings for field in changes}):
        if field in OWN:
            raise BadInput(f"{path}: {field}: is set by the sweep itself; leave it out, and write `seeds` or `budget`")
    if len({label_of(changes) for changes in settings}) < len(settings):
        raise BadInput(f"{path}: two settings are the same")
    pairs = [(setting, changes, seed) for setting, changes in enumerate(settings) for seed in sweep.seeds]
    trials = [
        Trial(number, setting, changes, seed, load_recipe(recipe, {**changes, "seed": seed}))
        for number, (setting, changes, seed) in enumerate(pairs, start=1)
    ]
    if sweep.scheduler == "asha" and any(not one.recipe.eval.every for one in trials):
        raise BadInput(
            f"{path}: scheduler: asha compares trials by what is measured during them; set eval.every in {sweep.recipe}"
        )
    return trials


def _settings(sweep: SweepFile) -> Iterator[Changes]:
    given = bool(sweep.grid) + bool(sweep.random) + bool(sweep.settings)
    if given > 1:
        raise BadInput("a sweep takes one of grid, random and settings")
    if sweep.random:
        draw = random.Random(sweep.random.seed)
        for _ in range(sweep.random.settings):
            yield {
                field: draw.choice(values) if isinstance(values, list) else values.draw(draw)
                for field, values in sweep.random.fields.items()
            }
    elif sweep.settings:
        yield from sweep.settings
    else:
        for values in itertools.product(*sweep.grid.values()):
            yield dict(zip(sweep.grid, values, strict=True))
