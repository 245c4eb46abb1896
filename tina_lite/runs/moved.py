"""A run's recipe names its files by absolute paths; the folder that they were in may have moved since."""

import os
from pathlib import Path

from tina_lite.errors import BadInput
from tina_lite.recipe import Recipe
from tina_lite.recipe.places import at_other_places
from tina_lite.runs.look import begins, records


def found_again(recipe: Recipe, run: Path) -> Recipe:
    """The recipe with files that are gone looked for as they stood to the run's folder, and then in that folder.

    What is nowhere keeps its name.
    """
    here, before = run.resolve(), _last_place(run)

    def now(path: str) -> str:
        ways = [os.path.relpath(path, before)] if before else []
        places = [os.path.normpath(here / way) for way in (*ways, os.path.basename(path))]
        return next(filter(os.path.exists, (path, *places)), path)

    return at_other_places(recipe, now)


def refuse_gone(recipe: Recipe) -> None:
    """BadInput where files of a run that is to be gone on with are nowhere."""
    gone: list[str] = []

    def look_at(path: str) -> str:
        if not os.path.exists(path):
            gone.append(path)
        return path

    at_other_places(recipe, look_at)
    if gone:
        raise BadInput(
            f"no longer there: {', '.join(dict.fromkeys(gone))}; put it back, or give its new place with --set, such "
            "as --set data.source=FILE"
        )


def _last_place(run: Path) -> str:
    """Where its folder was when its last session began; empty where no session says so."""
    place = ""
    for started in records(run / "events.jsonl", begins("run_started")):
        place = str(started.get("folder", ""))
    return place if os.path.isabs(place) else ""
