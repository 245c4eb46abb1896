"""(shape, recipe, device, rate) to a plan: pure, so that it can be asked what another card or setting would change."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import floor
from typing import Any

from tina_lite.budget import Rate
from tina_lite.budget.limits import Limits
from tina_lite.budget.meter import Reading
from tina_lite.budget.money import billed_s
from tina_lite.plan.device import GIB, Device, card_named, room_on
from tina_lite.plan.speed import Measured, StepTime, StepWorkload, Value, fitting_change, rollout_s, step_time
from tina_lite.policy.memory import MemoryLayout, layout_of
from tina_lite.policy.memory_request import MemoryRequest
from tina_lite.policy.shape import ModelShape
from tina_lite.recipe import Recipe

START_S = 2.5
"""Imports."""
LOAD_BYTES_S = {True: 3e8, False: 8e7}
"""Read and quantised a second, on a card (an assumption) and on a CPU (measured)."""
CLOSE_S = 1.0
"""Checkpoint, adapter, summary."""
COMPLETION_SPAN = (0.35, 1.0)
"""Completions on average, of the longest allowed."""
SPEED_SPAN = {True: (0.7, 1.6), False: (0.8, 1.6)}
"""Seconds over forecast ones, on a card (an assumption) and on a CPU (1.05 and 1.53 were measured)."""
MEASURED_SPAN = (0.9, 1.15)
"""The same where a run of this model on this device corrects them: later steps are longer or shorter."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run will need. Bytes, seconds, US dollars."""

    model: str
    shape: ModelShape
    quantization: str
    prompts: int
    """In a step."""
    device: Device
    memory: MemoryLayout
    change: Mapping[str, Value] | None
    """What makes it fit, as recipe fields; None where it fits, or where nothing does."""
    step: StepTime
    load_s: float
    eval_s: float
    """All evaluations."""
    steps: int | None
    """None where nothing limits the run but the data, which were not read."""
    ended_by: str
    rate: Rate | None
    """None where no price is known."""
    problems: int | None
    """That the data hold; None where they were not counted."""
    assumptions: tuple[str, ...]
    span: "tuple[Plan, Plan] | None" = None
    """The same with all that is assumed turning out well, and ill."""

    @property
    def fits(self) -> bool:
        """Whether the peak is within the device's memory."""
        return self.memory.fits

    @property
    def seconds(self) -> float | None:
        """From the start of the process to its end."""
        return None if self.steps is None else self.load_s + self.eval_s + self.steps * self.step.total + CLOSE_S

    @property
    def hours(self) -> float | None:
        return None if self.seconds is None else self.seconds / 3600

    @property
    def usd(self) -> float | None:
        """Of a run in one session, in the units that are billed."""
        if self.hours is None or self.rate is None:
            return None
        return billed_s(3600 * self.hours, self.rate.unit_s) / 3600 * self.rate.usd_per_hour

    @property
    def kwh(self) -> float | None:
        """Electricity that the card takes, at its board power."""
        watts = self.device.watts
        return None if self.hours is None or watts is None else self.hours * watts / 1000

    @property
    def epochs(self) -> float | None:
        """How often each problem is asked."""
        return self.steps * self.prompts / self.problems if self.steps and self.problems else None


def make_plan(
    shape: ModelShape,
    recipe: Recipe,
    device: Device,
    *,
    rate: Rate | None = None,
    max_steps: int | None = None,
    measured: Measured | None = None,
    lengths: Mapping[str, float] | None = None,
    smaller: Mapping[str, ModelShape] | None = None,
    problems: int | None = None,
) -> Plan:
    """Plan a run of this recipe.

    Args:
        shape: of the recipe's model.
        recipe: the run.
        device: where it computes.
        rate: what an hour costs; None where that is not known.
        max_steps: steps that the data and the recipe allow; default: the recipe's stop.max_steps.
        measured: a run that corrects lengths and seconds, where it is of this model on this device.
        lengths: prompt_share and completion_share where they are known though `measured` is not of this device.
        smaller: models by id, one of which may be named where no setting makes the recipe fit.
        problems: that the data hold, where that is known.
    """
    used = measured if measured and not _objection(measured, recipe, device) else None
    workload = StepWorkload.of(recipe, used.lengths if used else lengths)
    memory = _layout(shape, recipe, device)
    ratio = _ratio(used, shape, device) if used else 1.0
    step, evaluation_s = _seconds(shape, recipe, device, memory, workload, ratio)
    load_s = START_S + 2 * shape.parameters / LOAD_BYTES_S[device.card]
    planned = max_steps or recipe.stop.max_steps

    def course(step: StepTime, evaluation_s: float) -> dict[str, Any]:
        """What follows from the seconds of a step and of an evaluation."""
        other_s = load_s + workload.evaluations * evaluation_s + CLOSE_S
        steps, ended_by = _steps(recipe, rate, planned, step.total, other_s)
        evaluations = workload.evaluations + ((steps or 0) // workload.eval_every if workload.eval_every else 0)
        return {"step": step, "eval_s": evaluations * evaluation_s, "steps": steps, "ended_by": ended_by}

    plan = Plan(
        model=recipe.model.named,
        shape=shape,
        quantization=recipe.model.quantization,
        prompts=recipe.rollout.prompts_per_step,
        device=device,
        memory=memory,
        change=None if memory.fits else _change(shape, recipe, device, smaller or {}),
        load_s=load_s,
        rate=rate,
        problems=problems,
        assumptions=tuple(_assumptions(shape, recipe, device, memory, workload, measured, ratio)),
        **course(step, evaluation_s),
    )
    well, ill = (
        replace(plan, **course(*_seconds(shape, recipe, device, memory, other, ratio * factor)))
        for other, factor in _around(workload, device, known=used is not None, lengths=lengths)
    )
    return replace(plan, span=(well, ill))


def _seconds(
    shape: ModelShape, recipe: Recipe, device: Device, memory: MemoryLayout, workload: StepWorkload, ratio: float
) -> tuple[StepTime, float]:
    """Of a step by phase, and of an evaluation."""
    lora, rows = recipe.lora, workload.memory_request.eval_completions
    step = step_time(shape, workload, device, memory, r=lora.r, target_modules=lora.target_modules)
    adapter = shape.lora_parameters(lora.r, lora.target_modules)
    evaluation_s = rollout_s(shape, workload, device, memory, adapter, rows) if rows else 0.0
    return StepTime(step.rollout * ratio, step.reward * ratio, step.update * ratio), evaluation_s * ratio


def _around(
    workload: StepWorkload, device: Device, *, known: bool, lengths: Mapping[str, float] | None
) -> Iterator[tuple[StepWorkload, float]]:
    """Work and a factor of time as they may turn out at best and at worst."""
    factors = MEASURED_SPAN if known else SPEED_SPAN[device.card]
    shares = COMPLETION_SPAN if lengths is None and not known else (workload.completion_share,) * 2
    for share, factor in zip(shares, factors, strict=True):
        yield replace(workload, completion_share=share), factor


def _layout(shape: ModelShape, recipe: Recipe, device: Device) -> MemoryLayout:
    return layout_of(shape, MemoryRequest.of(recipe), room_on(device, shape))


def _change(
    shape: ModelShape, recipe: Recipe, device: Device, smaller: Mapping[str, ModelShape]
) -> Mapping[str, Value] | None:
    change = fitting_change(recipe, lambda other: _layout(shape, other, device).fits)
    if change is not None:
        return change
    for name, other in sorted(smaller.items(), key=lambda item: -item[1].parameters):
        if other.parameters < shape.parameters and _layout(other, recipe, device).fits:
            return {"model.id": name}
    return None


def _steps(
    recipe: Recipe, rate: Rate | None, planned: int | None, step_s: float, other_s: float
) -> tuple[int | None, str]:
    """How many steps are taken, and the rule that ends them."""
    left = Limits(recipe.budget.max_usd, recipe.stop.max_hours, planned).left(Reading.at_the_start(rate))
    if not left:
        return planned, "" if planned is None else "max_steps"
    paid_for = floor(max(0.0, left.seconds - other_s) / step_s)
    return (planned, "max_steps") if planned is not None and planned <= paid_for else (paid_for, left.limit)


def _objection(measured: Measured, recipe: Recipe, device: Device) -> str:
    """Why a run does not tell of this one; empty where it does."""
    if measured.recipe.model.named != recipe.model.named:
        return f"it is of {measured.recipe.model.named}"
    card = card_named(measured.device)
    name = card.name if card else measured.device
    return "" if name == device.name else f"it ran on {name or 'an unknown device'}"


def _ratio(measured: Measured, shape: ModelShape, device: Device) -> float:
    """Measured over forecast, for the run itself."""
    recipe = measured.recipe
    workload = StepWorkload.of(recipe, measured.lengths)
    memory = _layout(shape, recipe, device)
    forecast = step_time(shape, workload, device, memory, r=recipe.lora.r, target_modules=recipe.lora.target_modules)
    return measured.step_s / forecast.total


def _assumptions(
    shape: ModelShape,
    recipe: Recipe,
    device: Device,
    memory: MemoryLayout,
    workload: StepWorkload,
    measured: Measured | None,
    ratio: float,
) -> Iterator[str]:
    yield from device.assumptions
    if memory.in_4_bits:
        yield (
            f"{' and '.join(memory.in_4_bits)} multiplied in 4 bits as fast as their codes are read, where "
            "bitsandbytes has its kernel for it; a run measures it first, and keeps a dense copy where that is faster"
        )
    objection = _objection(measured, recipe, device) if measured else ""
    if measured and not objection:
        yield (
            f"corrected by {measured.folder}: {measured.step_s:.3g} s a step there (steps: {measured.steps}), "
            f"{ratio:.2f} of what was forecast; prompts of {workload.prompt:.0f} and completions of "
            f"{workload.completion:.0f} tokens as there"
        )
        yield f"that run's peak was {measured.peak_bytes / GIB:.2f} GiB"
        low, high = MEASURED_SPAN
        yield f"from best to worst: {low:g} to {high:g} times the seconds, as later steps are longer or shorter"
    else:
        if measured:
            yield f"{measured.folder} was not used: {objection}"
        yield (
            f"prompts of {workload.prompt:.0f} and completions of {workload.completion:.0f} tokens on average "
            f"({workload.prompt_share:.0%} and {workload.completion_share:.0%} of the longest allowed); the cache is "
            "made for the longest completions"
        )
        yield "every group teaches; each without variance makes its step shorter"
        low, high = SPEED_SPAN[device.card]
        yield (
            f"from best to worst: completions of {COMPLETION_SPAN[0]:.0%} to {COMPLETION_SPAN[1]:.0%} of the longest, "
            f"and {low:g} to {high:g} times the seconds"
        )
    if recipe.rollout.resample_zero_variance:
        yield "resampled groups are not counted; each round may take another rollout"
    if not device.card:
        yield "memory is what is free now; a process keeps what it has freed, so its parts add up"
    if device.card:
        yield "the native engine; the larger of sampling and learning counts, since one uses the other's memory"
    if not shape.dense:
        yield f"{shape.model_type or 'this architecture'} runs through transformers' own code, which keeps more"
