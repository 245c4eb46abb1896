"""Which change of a recipe makes it fit, where no layout of memory does."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from tina_lite.recipe import Recipe

Value = str | int
HALVINGS = 16


@dataclass(frozen=True, slots=True)
class Knob:
    """A recipe field that memory depends on."""

    field: str
    start: int
    floor: int

    def halved(self, times: int) -> int:
        """The start halved so often, but not below the floor."""
        return max(self.floor, self.start >> times)


def fitting_change(recipe: Recipe, fits: Callable[[Recipe], bool]) -> dict[str, Value] | None:
    """The gentlest change with which `fits` says yes, as recipe fields and values; None where none does.

    Args:
        recipe: one that does not fit.
        fits: whether a recipe does.
    """
    for change in _changes(recipe):
        if fits(changed(recipe, change)):
            return change
    return None


def changed(recipe: Recipe, change: Mapping[str, Value]) -> Recipe:
    """The recipe with dotted fields set, as --set does."""
    for dotted, value in change.items():
        section, field = dotted.split(".")
        new = getattr(recipe, section).model_copy(update={field: value})
        recipe = recipe.model_copy(update={section: new})
    return recipe


def _changes(recipe: Recipe) -> Iterator[dict[str, Value]]:
    """As little as need be of each; the engine itself has tried a smaller cache and smaller micro-batches."""
    length = Knob("rollout.max_completion_length", recipe.rollout.max_completion_length, 16)
    rank = Knob("lora.r", recipe.lora.r, 1)
    fixed: dict[str, Value] = {} if recipe.model.quantization == "nf4" else {"model.quantization": "nf4"}
    if fixed:
        yield fixed
    for knobs in ((length,), (rank,), (length, rank)):
        for times in range(1, HALVINGS):
            yield fixed | {knob.field: knob.halved(times) for knob in knobs if knob.halved(times) < knob.start}
