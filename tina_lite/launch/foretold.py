"""What a run that was checked will take, as far as it is known at once: a card's figures, a CPU measured before."""

from tina_lite.budget import Rate, Reading, StopRules
from tina_lite.budget.pace import SAVE_RESERVE_S
from tina_lite.device import usable_card
from tina_lite.errors import BadInput
from tina_lite.plan import Measured, Plan, find_device, make_plan, read_shape
from tina_lite.plan.cpu import known_cpu_speed
from tina_lite.plan.planner import START_S
from tina_lite.recipe import Recipe

SHORTEST = {"prompt_share": 0.05, "completion_share": 0.05}
"""Of the longest allowed: what a run cannot well stay below, where none of its recipe has shown its lengths."""


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
    plan: Plan, recipe: Recipe, rules: StopRules, reading: Reading, measured: Measured | None
) -> tuple[str, ...]:
    """NoRoom where a limit cannot pay for one step even if all goes well; a warning where it may not."""
    quickest = make_plan(plan.shape, recipe, plan.device, measured=measured, lengths=SHORTEST).span
    step_s = quickest[0].step.total if quickest else 0.0
    rules.refuse_if_hopeless(reading, START_S + step_s, SAVE_RESERVE_S)
    left_s, limit = rules.limits.left(reading)
    best = plan.span[0] if plan.span else plan
    needed_s = best.load_s + best.step.total
    if left_s is None or needed_s + SAVE_RESERVE_S <= left_s:
        return ()
    takes = f"loading and one step take {needed_s:.0f} s at best by the plan, and {limit} leaves {left_s:.0f} s"
    return (f"the first step may not fit: {takes}",)
