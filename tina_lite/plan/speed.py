"""What one step asks for, and the seconds that it takes on a device."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from statistics import fmean, median
from typing import Any

from tina_lite.plan.device import Device
from tina_lite.policy.memory import MemoryLayout
from tina_lite.policy.memory_request import READ_IN_4_BITS, MemoryRequest, weights_in_4_bits
from tina_lite.policy.shape import ModelShape
from tina_lite.recipe import Recipe, load_recipe
from tina_lite.runs.folder import folders_named
from tina_lite.runs.look import begins, records
from tina_lite.util.errors import BadInput

PROMPT_SHARE = 0.4
"""Of max_prompt_length, a prompt on average."""
COMPLETION_SHARE = 0.7
"""Of max_completion_length, a completion on average."""


@dataclass(frozen=True, slots=True)
class StepWorkload:
    """Counts a step in tokens, its prompts and completions of typical length."""

    memory_request: MemoryRequest
    """The same step at its longest."""
    prompt_share: float
    completion_share: float
    iterations: int
    reference: bool
    """Whether a KL term asks for the base's log-probs too."""
    evaluations: int
    """Before and after; those between come with the steps."""
    eval_every: int | None

    @classmethod
    def of(cls, recipe: Recipe, lengths: Mapping[str, float] | None = None) -> "StepWorkload":
        """`lengths` may hold the shares prompt_share and completion_share, as a run has shown them."""
        known: dict[str, Any] = {"prompt_share": PROMPT_SHARE, "completion_share": COMPLETION_SHARE, **(lengths or {})}
        return cls(
            memory_request=MemoryRequest.of(recipe),
            iterations=recipe.grpo.num_iterations,
            reference=recipe.grpo.beta > 0,
            evaluations=2 if recipe.eval.benchmarks else 0,
            eval_every=recipe.eval.every if recipe.eval.benchmarks else None,
            **known,
        )

    @property
    def longest_sequence(self) -> int:
        """Tokens that a row takes in the cache: a typical prompt, and the longest completion."""
        return round(self.prompt) + self.memory_request.longest_completion

    @property
    def prompt(self) -> float:
        """Tokens that a typical prompt has."""
        return max(1.0, self.prompt_share * self.memory_request.longest_prompt)

    @property
    def completion(self) -> float:
        """Tokens that a typical completion has."""
        return max(1.0, self.completion_share * self.memory_request.longest_completion)

    def trained_tokens(self, shares_prompts: bool) -> float:
        """Count the typical tokens of a forward pass over all sequences."""
        request = self.memory_request
        prompts = request.prompts if shares_prompts else request.trained_completions
        return prompts * self.prompt + request.trained_completions * self.completion


# Seconds of a step: products at the device's speed, memory at its bandwidth, and a call for every operation.
#
# Each term is what the engine does (policy/decoder.py, policy/forward.py); the counts of calls and passes were fitted
# to two models on a CPU, what a card's calls take to one model on an H100. Where a run was measured, its ratio to
# this forecast corrects it.

DECODE_CALLS = 50
"""Operations of a layer for one token, the cache's included."""
STEP_CALLS = {False: 350, True: 100}
"""Operations of the sampler for one token of all rows, its Python included: of a CPU, of a card, which waits for the
host less often than the host for it."""
UPDATE_CALLS = 150
"""Operations of a layer, forward and backward."""
DRAW_PASSES = 12
"""Over the logits of a decode step, in float32."""
LOGIT_PASSES = 20
"""Over the logits of the learner."""
KEPT_PASSES = 13
"""Over what a forward pass keeps, forward and backward."""
COMPLETION_S = 0.2e-3
"""To decode a completion into text, and to reward it."""


@dataclass(frozen=True, slots=True)
class StepTime:
    """Seconds of a typical step by phase."""

    rollout: float
    reward: float
    update: float

    @property
    def total(self) -> float:
        return self.rollout + self.reward + self.update


def step_time(
    shape: ModelShape,
    workload: StepWorkload,
    device: Device,
    memory: MemoryLayout,
    *,
    r: int,
    target_modules: Iterable[str],
) -> StepTime:
    """A step in which every group teaches something: groups without variance make it shorter."""
    adapter = shape.lora_parameters(r, tuple(target_modules))
    return StepTime(
        rollout=rollout_s(shape, workload, device, memory, adapter, workload.memory_request.step_completions),
        reward=workload.memory_request.step_completions * COMPLETION_S,
        update=update_s(shape, workload, device, memory, adapter),
    )


def rollout_s(
    shape: ModelShape, workload: StepWorkload, device: Device, memory: MemoryLayout, adapter: int, rows: int
) -> float:
    """To sample so many completions, as many at once as the cache's budget holds."""
    at_once = max(1, min(rows, memory.kv_tokens // workload.longest_sequence))
    waves = ceil(rows / at_once)
    last = workload.memory_request.longest_completion  # to finish, which sets the length of its wave
    steps = (waves - 1) * workload.completion + last
    tokens = rows * workload.completion
    weights = shape.linear_weights + shape.head_weights + adapter
    in_4_bits = weights_in_4_bits(shape, memory.in_4_bits)
    read = (weights - in_4_bits) * device.itemsize + round(in_4_bits * READ_IN_4_BITS)
    if not memory.dense_copy:  # dequantised anew: read in 4 bits, written
        read += round((shape.linear_weights - in_4_bits) * (0.5 + device.itemsize))
    call_s = device.decode_call_s if shape.dense else device.call_s
    cached = (workload.prompt + workload.completion / 2) * shape.kv_bytes(device.itemsize)
    drawn = shape.vocabulary * 4 * DRAW_PASSES
    calls_s = shape.layers * DECODE_CALLS * call_s + STEP_CALLS[device.card] * device.call_s
    per_step = calls_s + read / device.bandwidth
    per_token = 2 * weights / device.flops + (cached + drawn) / device.bandwidth
    prefill = workload.memory_request.prompts * workload.prompt * 2 * shape.linear_weights / device.flops
    return prefill + steps * per_step + tokens * per_token


def update_s(shape: ModelShape, workload: StepWorkload, device: Device, memory: MemoryLayout, adapter: int) -> float:
    """Forward and backward over all completions, and an optimiser step; as often as the recipe iterates."""
    tokens, completions = (
        workload.trained_tokens(shape.dense),
        workload.memory_request.trained_completions * workload.completion,
    )
    forwards = 1 if memory.activations == "stored" else 2
    passes = 2 * (forwards + 1 + workload.reference)  # dx alone: the base takes no gradient
    products = tokens * (passes * shape.linear_weights + (passes + 2) * adapter) + completions * 4 * shape.head_weights
    width = shape.heads * shape.head_dim
    attended = completions * (workload.prompt + workload.completion)  # the engine's mask saves no work
    attention = shape.layers * 4 * width * attended * (forwards + 2.5)
    moved = tokens * shape.kept_bytes(1, device.itemsize) * KEPT_PASSES
    moved += completions * shape.vocabulary * 4 * LOGIT_PASSES
    batches = ceil(tokens / memory.micro_batch_tokens)
    calls = batches * shape.layers * UPDATE_CALLS + 40 * shape.layers
    seconds = (
        products / device.flops + attention / device.attention_flops + moved / device.bandwidth + calls * device.call_s
    )
    in_4_bits = weights_in_4_bits(shape, memory.in_4_bits)
    dequantised = in_4_bits if memory.dense_copy else shape.linear_weights
    seconds += batches * (forwards + 1) * dequantised * (0.5 + device.itemsize) / device.bandwidth
    return workload.iterations * seconds


Value = str | int
HALVINGS = 16


@dataclass(frozen=True, slots=True)
class Knob:
    """Names a recipe field that memory depends on."""

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


@dataclass(frozen=True, slots=True)
class Measured:
    """A run as measured."""

    folder: str
    recipe: Recipe
    device: str
    """As the run named it."""
    steps: int
    step_s: float
    """Median; the first step, which warms up, is left out where there are others."""
    prompt: float
    """Tokens on average."""
    completion: float
    peak_bytes: int

    @property
    def lengths(self) -> dict[str, float]:
        """Prompts and completions as shares of the longest that the run's recipe allows."""
        rollout = self.recipe.rollout
        return {
            "prompt_share": min(1.0, self.prompt / rollout.max_prompt_length),
            "completion_share": min(1.0, self.completion / rollout.max_completion_length),
        }


def read_measured(folder: Path) -> Measured:
    """The steps of a run folder. BadInput where there are none."""
    if not (folder / "recipe.yaml").is_file():
        raise BadInput(f"--run: {folder} is no run folder (no recipe.yaml there)")
    steps = list(records(folder / "metrics.jsonl"))
    if not steps:
        raise BadInput(f"--run: {folder} has no step in its metrics.jsonl; the plan cannot be corrected by it")
    started = list(records(folder / "events.jsonl", begins("run_started")))
    recipe = load_recipe(folder / "recipe.yaml")
    warm = steps[1:] or steps
    try:
        decoded = sum(step["tokens_per_second"] * step["step_time"] for step in steps)
        prompts = len(steps) * recipe.rollout.prompts_per_step
        return Measured(
            folder=str(folder),
            recipe=recipe,
            device=started[-1]["device"] if started else "",
            steps=len(steps),
            step_s=median(step["step_time"] for step in warm),
            prompt=max(1.0, (steps[-1]["num_tokens"] - decoded) / prompts),
            completion=fmean(step["completions/mean_length"] for step in steps),
            peak_bytes=int(max(step["peak_bytes"] for step in steps)),
        )
    except KeyError as missing:
        raise BadInput(f"--run: {folder}/metrics.jsonl has no {missing}; it is of another version") from None


def newest_measured(runs: Path, name: str) -> Measured | None:
    """The newest run of this name that took a step; None without one."""
    for folder in folders_named(runs, name):
        with suppress(BadInput):
            return read_measured(folder)
    return None
