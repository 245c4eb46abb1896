"""What a run has come to so far: all that changes from step to step, beside the learner's tensors."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from math import isfinite
from typing import Annotated, Any

from pydantic import Field, ValidationError

from tina_lite.recipe.schema import DtypeName
from tina_lite.runs.checkpoint import SavedCheckpoint, other_version
from tina_lite.runs.identity import Identity
from tina_lite.util.errors import BadInput
from tina_lite.util.stateful import Fields, ResolvedRuntime, Stateful, adapter

Count = Annotated[int, Field(ge=0)]


@dataclass(slots=True)
class RunState(Fields):
    """A checkpoint keeps all of it."""

    step: Count = 0
    position: Count = 0
    """Of the prompt source."""
    prompt_tokens: Count = 0
    completion_tokens: Count = 0
    trained_tokens: Count = 0
    reward_first: float | None = None
    reward_last: float | None = None
    reward_best: float | None = None
    best_step: Count = 0
    step_tokens: Count = 0
    """Of the largest step so far."""

    @property
    def tokens(self) -> int:
        """Tokens that the run has used, of prompts and completions."""
        return self.prompt_tokens + self.completion_tokens

    def count(self, step: int, position: int, tokens: tuple[int, int, int], reward: float) -> None:
        """Take note of a step that is done.

        Args:
            position: of the prompt source behind it.
            tokens: of prompts, of completions, and trained on.
            reward: the mean over its completions.
        """
        prompts, completions, trained = tokens
        self.step, self.position = step, position
        self.prompt_tokens += prompts
        self.completion_tokens += completions
        self.step_tokens = max(self.step_tokens, prompts + completions)
        self.trained_tokens += trained
        self.reward_first = reward if self.reward_first is None else self.reward_first
        self.reward_last = reward
        if isfinite(reward) and (self.reward_best is None or reward > self.reward_best):
            self.reward_best, self.best_step = reward, step


@dataclass(frozen=True, slots=True)
class SavedRuntime(ResolvedRuntime):
    """Holds what the machine's memory and speed decided.

    A resumed run keeps it: sums in another order round otherwise.
    """

    dtype: DtypeName
    loss_scale: Annotated[float, Field(gt=0)] = 1.0
    """By which the loss is multiplied before its gradients are taken, where float16 has no room for small ones."""


class Machine:
    """Its choices, some of which change as memory or float16 runs out; a part of every checkpoint."""

    def __init__(self, first: SavedRuntime, changed: Callable[[], Mapping[str, Any]]) -> None:
        """`changed` gives those fields that change, as they are now."""
        self._first = first
        self._changed = changed

    def state(self) -> dict[str, Any]:
        return asdict(replace(self._first, **self._changed()))

    def load_state(self, state: Any) -> None:
        """They were read before anything was loaded (`CheckpointState`)."""


ONCE_IN_STATE = ("schedule", "nonfinite", "condition", "gains", "rewards")
"""Parts that stood among the fields of "state" in checkpoints up to 0.2.0 of 2026-11."""
MAY_BE_NEW = ("callback ", "turning_point", "savings")
"""Begin the names of parts that a run may have got since its checkpoint."""


class CheckpointState:
    """What a checkpoint holds beside tensors: the state of each part by its name."""

    def __init__(self, saved: SavedCheckpoint) -> None:
        """BadInput where these are not what a CheckpointManager writes: another version wrote them, or someone did."""
        self.saved = saved
        self.step = saved.step
        self.choices: SavedRuntime = self.read("choices", SavedRuntime)
        self.identity: Identity = self.read("identity", Identity) if "identity" in saved.state else Identity()
        self.log_sizes: dict[str, int] = self.read("log_sizes", dict[str, Count])
        found = self.read("state", RunState).step
        if found != saved.step:
            raise self._foreign(f"state.step: is {found}")

    def read(self, name: str, kind: Any) -> Any:
        """Read one part as a type."""
        return self._checked(name, lambda state: adapter(kind).validate_python(state))

    def hand_to(self, name: str, part: Stateful) -> None:
        if name in self.saved.state or not name.startswith(MAY_BE_NEW):
            self._checked(name, part.load_state)

    def _checked(self, name: str, take: Callable[[Any], Any]) -> Any:
        found = self.saved.state
        if name not in found and not (name in ONCE_IN_STATE and "state" in found):
            raise self._foreign(f"{name}: is missing")
        try:
            return take(found.get(name, found["state"]))
        except ValidationError as error:
            fault = error.errors()[0]
            where = ".".join(map(str, (name, *fault["loc"])))
            raise self._foreign(f"{where}: {fault['msg']}") from None

    def _foreign(self, what: str) -> BadInput:
        return other_version(self.saved.path, self.saved.version, what)
