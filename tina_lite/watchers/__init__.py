"""Who looks at every finished step, and may say something or end the run. The loop knows none of them.

To add one: a file here with a class that has `look` and `stop_reason`, and its line in `watchers_of`. One that must
remember something over a resume has `state` and `load_state` too; every checkpoint then keeps it under its name.
"""

from collections.abc import Mapping
from typing import Protocol

from tina_lite.recipe import Recipe
from tina_lite.recorder import StepRecord
from tina_lite.runs.session import Session
from tina_lite.watchers.collapse import CollapseWatch
from tina_lite.watchers.condition import ConditionWatch
from tina_lite.watchers.cut_off import CutOff
from tina_lite.watchers.outlook import OutlookWatch


class Watcher(Protocol):
    """Looks at one run."""

    def look(self, record: StepRecord) -> None:
        """At a step that was told to everybody. A TinaError ends the run."""
        ...

    @property
    def stop_reason(self) -> str | None:
        """Why no other step should begin; None where one may."""
        ...


def watchers_of(session: Session, recipe: Recipe, max_steps: int) -> Mapping[str, Watcher]:
    """All of a run by name, in the order in which they look."""
    return {
        "condition": ConditionWatch(session),
        "cut_off": CutOff(session),
        "collapse": CollapseWatch(session, ends_run=recipe.stop.on_collapse),
        "outlook": OutlookWatch(session, max_steps),
    }
