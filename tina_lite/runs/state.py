"""What a run has come to so far: all that changes from step to step, beside the learner's tensors."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from math import isfinite
from statistics import fmean
from typing import Annotated, Any

from pydantic import Field, ValidationError

from tina_lite.recipe.schema import DtypeName
from tina_lite.runs.checkpoint import SavedCheckpoint, other_version
from tina_lite.runs.identity import Identity
from tina_lite.util.errors import BadInput
from tina_lite.util.records import ScoredGroup
from tina_lite.util.stateful import Fields, ResolvedRuntime, Stateful, adapter, read_as

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
    best_pass_at_1: float = -1.0
    """Of evaluations between the steps, on the first benchmark; -1 before there is one."""
    best_eval_step: Count = 0
    evaluated_step: Count = 0
    """After which an evaluation was counted last."""
    eval_level: float | None = None
    """Pass@1 that an evaluation has to pass, by more than noise, to count as a gain."""
    evals_without_gain: Count = 0
    """In a row."""
    bad_steps: Count = 0
    """Steps in a row that were skipped, as a number was not finite."""
    skipped_steps: Count = 0
    """The same, in all."""
    reward_failures: dict[str, int] = field(default_factory=dict)
    """By reward name, completions on which it failed."""
    step_tokens: Count = 0
    """Of the largest step so far."""
    condition_streak: Annotated[Count, read_as("condition_streak", "held")] = 0
    """Steps in a row on which the stop condition held."""
    started_s: float | None = None
    """Seconds of all sessions before the first step."""
    lr_progress: Annotated[float, read_as("lr_progress", "horizon")] = 0.0
    """Share of the learning-rate schedule that is done."""
    schedule_steps: Annotated[int, Field(ge=1)] | None = None
    """Over which it is laid out, once that is known; it stays so."""

    def count(self, step: int, position: int, rollout_tokens: int, groups: Sequence[ScoredGroup], trained: int) -> None:
        """A step that is done; `position` is the prompt source's behind it."""
        reward = fmean(total for scored in groups for total in scored.totals)
        self.step, self.position = step, position
        prompt_tokens = sum(len(scored.group.prompt.ids) for scored in groups)
        self.prompt_tokens += prompt_tokens
        self.completion_tokens += rollout_tokens
        self.step_tokens = max(self.step_tokens, prompt_tokens + rollout_tokens)
        self.trained_tokens += trained
        self.reward_first = reward if self.reward_first is None else self.reward_first
        self.reward_last = reward
        if isfinite(reward) and (self.reward_best is None or reward > self.reward_best):
            self.reward_best, self.best_step = reward, step

    def count_bad(self, finite: bool) -> None:
        """Take note of whether a step's numbers were finite."""
        self.bad_steps = 0 if finite else self.bad_steps + 1
        self.skipped_steps += not finite


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
        """They were read before anything was loaded (`Kept`)."""


class CheckpointState:
    """What a checkpoint holds beside tensors: the state of each part by its name."""

    def __init__(self, saved: SavedCheckpoint) -> None:
        """BadInput where these are not what a CheckpointManager writes: another version wrote them, or someone did."""
        self._saved = saved
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
        self._checked(name, part.load_state)

    def _checked(self, name: str, take: Callable[[Any], Any]) -> Any:
        if name not in self._saved.state:
            raise self._foreign(f"{name}: is missing")
        try:
            return take(self._saved.state[name])
        except ValidationError as error:
            fault = error.errors()[0]
            where = ".".join(map(str, (name, *fault["loc"])))
            raise self._foreign(f"{where}: {fault['msg']}") from None

    def _foreign(self, what: str) -> BadInput:
        return other_version(self._saved.path, self._saved.version, what)
