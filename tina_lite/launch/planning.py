"""What a recipe runs on here and what it will take: engine, rate and plan, by its model's config.json alone."""

import os
from dataclasses import replace
from functools import partial
from pathlib import Path

from tina_lite.budget import Rate, Reading, resolve_rate
from tina_lite.budget.limits import SAVE_RESERVE_S, Limits
from tina_lite.plan import Measured, Plan, find_device, make_plan, read_shape
from tina_lite.plan.device import known_cpu_speed
from tina_lite.plan.planner import START_S
from tina_lite.policy.engine import Engine, choose_engine, find_facts, idle_accumulation, refuse_vllm
from tina_lite.policy.model_folder import read_model_type, shipped_models
from tina_lite.recipe import Recipe, with_local_paths
from tina_lite.recipe.schema import BudgetSection, Electricity
from tina_lite.util.device import usable_card
from tina_lite.util.errors import BadInput

SHORTEST = {"prompt_share": 0.05, "completion_share": 0.05}
"""Of the longest allowed: what a run cannot well stay below, where none of its recipe has shown its lengths."""


def engine_of(recipe: Recipe) -> Engine:
    """The engine that the run would use in this process. BadInput where it cannot be had."""
    model, facts = recipe.model, find_facts()
    vllm = recipe.rollout.engine == "vllm"
    model_type = partial(read_model_type, model.id)
    engine = choose_engine(model.engine, facts, model_type, model.compute_dtype, vllm=vllm)
    if vllm:
        refuse_vllm(engine, facts)
    if model.fp16_accumulation and (why := idle_accumulation(engine, facts, model_type)):
        return replace(engine, warnings=(*engine.warnings, f"model.fp16_accumulation changes nothing: {why}"))
    return engine


def hourly_rate(budget: BudgetSection, flag: float | str | None, card: str | None, needs_price: bool) -> Rate:
    """What --rate says, else the recipe, else what is known of the card; BadInput where it must be known and is not."""
    wanted = budget.rate
    given = wanted.model_dump() if isinstance(wanted, Electricity) else None if wanted == "auto" else wanted
    return resolve_rate(flag, given, os.environ, card, needs_price, budget.billing)


def plan_here(recipe: Recipe, rate: Rate, max_steps: int, problems: int, measured: Measured | None) -> Plan:
    """On this machine, corrected by an earlier run. BadInput where there is none for its model."""
    shape = read_shape(recipe.model.id)
    return make_plan(
        shape,
        recipe,
        find_device(shape, recipe.model.compute_dtype),
        rate=rate,
        max_steps=max_steps or None,
        measured=measured,
        problems=problems or None,
    )


def plan_at_once(recipe: Recipe, rate: Rate, max_steps: int, problems: int, measured: Measured | None) -> Plan | None:
    """The same; None where there is none, or where it would first have to measure the CPU."""
    try:
        shape = read_shape(recipe.model.id)
        if usable_card() is None and known_cpu_speed(shape.hidden, shape.intermediate) is None:
            return None
        return plan_here(recipe, rate, max_steps, problems, measured)
    except BadInput:
        return None


def refuse_first_step(
    plan: Plan, recipe: Recipe, limits: Limits, reading: Reading, measured: Measured | None
) -> tuple[str, ...]:
    """NoRoom where a limit cannot pay for one step even if all goes well; a warning where it may not."""
    quickest = make_plan(plan.shape, recipe, plan.device, measured=measured, lengths=SHORTEST).span
    step_s = quickest[0].step.total if quickest else 0.0
    limits.refuse_if_hopeless(reading, START_S + step_s + SAVE_RESERVE_S)
    left = limits.left(reading)
    best = plan.span[0] if plan.span else plan
    needed_s = best.load_s + best.step.total
    if needed_s + SAVE_RESERVE_S <= left.seconds:
        return ()
    takes = (
        f"loading and one step take {needed_s:.0f} s at best by the plan, and {left.limit} leaves {left.seconds:.0f} s"
    )
    return (f"the first step may not fit: {takes}",)


def plan_run(
    recipe: Recipe,
    *,
    rate: float | str | None = None,
    gpu: str | None = None,
    vram_gib: float | None = None,
    measured: Measured | None = None,
) -> Plan:
    """What a run will need, from the recipe and the model's config.json alone; a second or less.

    Args:
        recipe: from `load_recipe`.
        rate: US dollars per hour; wins over the recipe's.
        gpu: a card to plan for by name; default: this machine.
        vram_gib: its memory.
        measured: a run that corrects the forecast.

    Raises:
        BadInput: no config.json can be had, the card is not known, or the rate is none.
    """
    recipe = with_local_paths(recipe)
    shape = read_shape(recipe.model.id)
    device = find_device(shape, recipe.model.compute_dtype, gpu=gpu, vram_gib=vram_gib)
    hourly = hourly_rate(recipe.budget, rate, device.priced_as, needs_price=False)
    known = hourly if hourly.source != "unknown" else None
    smaller = {name: read_shape(name) for name in shipped_models()}
    rows = _rows_of(recipe)
    plan = make_plan(shape, recipe, device, rate=known, measured=measured, smaller=smaller, problems=rows)
    return plan if gpu is not None or vram_gib is not None else with_engine(plan, engine_of(recipe))


def _rows_of(recipe: Recipe) -> int | None:
    """Problems at most, where a look tells: lines of a file, not what is usable of them."""
    path = Path(recipe.data.source)
    if path.suffix != ".jsonl" or not path.is_file():
        return recipe.data.limit
    with path.open("rb") as file:
        rows = sum(1 for line in file if line.strip())
    return min(rows, recipe.data.limit or rows) or None


def with_engine(plan: Plan, engine: Engine) -> Plan:
    """The engine that the run would use here leads what was assumed."""
    note = f"engine {engine}"
    if engine.name == "unsloth":
        note += "; its memory and speed are not modelled, and the figures are those of the native engine"
    return replace(plan, assumptions=(note, *plan.assumptions))
