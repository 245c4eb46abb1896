"""What a run has come to so far: all that changes from step to step, beside the learner's tensors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from statistics import fmean
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from tina_lite.budget.pace import Timings
from tina_lite.collapse import CollapseWatch
from tina_lite.errors import BadInput
from tina_lite.records import EvalResult, ScoredGroup
from tina_lite.runs.identity import Identity

Count = Annotated[int, Field(ge=0)]


@dataclass(slots=True)
class RunState:
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
    bad_steps: Count = 0
    """Steps in a row that were skipped, as a number was not finite."""
    skipped_steps: Count = 0
    """The same, in all."""
    reward_failures: dict[str, int] = field(default_factory=dict)
    """By reward name, completions on which it failed."""
    step_tokens: Count = 0
    """Of the largest step so far."""
    held: Count = 0
    """Steps in a row on which the stop condition held."""
    started_s: float | None = None
    """Seconds of all sessions before the first step."""
    horizon: float = 0.0
    """Share of the learning-rate schedule that is done."""
    schedule_steps: Annotated[int, Field(ge=1)] | None = None
    """Over which it is laid out, once that is known; it stays so."""

    def count(self, step: int, position: int, rollout_tokens: int, groups: Sequence[ScoredGroup], trained: int) -> None:
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
class MachineChoices:
    """What the machine's memory and speed decided. A resumed run keeps it: sums in another order round otherwise."""

    dtype: Literal["float32", "bfloat16"]
    resident: bool | None
    """Whether the engine keeps a dense copy of the base; None for one that knows none."""
    kv_tokens: Count
    """Of the sampler's cache, over all rows; 0 where the cache is not its own."""
    micro_batch_tokens: Annotated[int, Field(ge=1)]


@dataclass(frozen=True, slots=True)
class Kept:
    """What a checkpoint holds beside tensors."""

    state: RunState
    evals: dict[str, dict[str, EvalResult]]
    """By "before" and "after", results by benchmark."""
    timings: Timings
    choices: MachineChoices
    collapse: CollapseWatch
    log_sizes: dict[str, Count]
    """Bytes of each log of the run folder when the checkpoint was made."""
    identity: Identity = field(default_factory=Identity)

    def to_json(self) -> dict[str, Any]:
        fields: dict[str, Any] = _KEPT.dump_python(self, mode="json")
        return fields

    @classmethod
    def from_json(cls, fields: Mapping[str, Any], step: int) -> "Kept":
        """BadInput where a checkpoint's JSON is not what `to_json` makes: another version wrote it, or someone did."""
        try:
            kept = _KEPT.validate_python(dict(fields))
        except ValidationError as error:
            fault = error.errors()[0]
            what = f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
        else:
            if kept.state.step == step:
                return kept
            what = f"state.step: is {kept.state.step}"
        raise BadInput(
            f"checkpoint of step {step} was not written by this version of tina-lite ({what}); remove that checkpoint "
            "to go on from an earlier one, or start again with --out"
        )


_KEPT: TypeAdapter[Kept] = TypeAdapter(Kept)
