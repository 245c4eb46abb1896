"""Trackers: a run's numbers for TensorBoard, Weights & Biases or Trackio, under TRL's names; and a webhook.

A tracker listens to the event stream from a thread of its own. Whatever goes wrong with it is said once, and the run
goes on without it.
"""

from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec

from tina_lite.recipe import Recipe
from tina_lite.track.backends import start_tracker
from tina_lite.track.listening import Beginning, Listening, ScalarTracker, Start
from tina_lite.track.webhook import Webhook, address_of
from tina_lite.util.errors import BadInput

__all__ = ["Beginning", "Listening", "ScalarTracker", "address_of", "refuse_missing", "trackers"]


def refuse_missing(names: Sequence[str]) -> None:
    """BadInput with the command that installs what a recipe's `track` needs and this machine lacks."""
    specs = {name: find_spec(name) for name in names}
    missing = [name for name, spec in specs.items() if spec is None or spec.origin is None]  # a folder is no package
    if missing:
        command = f"pip install {' '.join(missing)}"
        raise BadInput(f"track: {', '.join(missing)} is not installed; {command}, or take it out of the recipe")


def trackers(recipe: Recipe, warn: Callable[[str], None], spare_s: Callable[[], float]) -> list[Listening]:
    """Make one listener for each name of a recipe's `track`, and one for its `notify`."""
    config = recipe.model_dump(mode="json", exclude={"notify"})  # who knows the address may write to it
    starts: dict[str, Start] = {f"track: {name}": partial(start_tracker, name) for name in recipe.track}
    if recipe.notify is not None:
        starts["notify:"] = partial(Webhook, address_of(recipe.notify))
    return [Listening(name, start, config, warn, spare_s) for name, start in starts.items()]
