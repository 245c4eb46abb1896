"""What a run will take and how its first prompt looks, before anything is loaded: --dry-run and plan."""

from dataclasses import replace
from pathlib import Path

from tina_lite.budget import format_price
from tina_lite.data.sources import prompts_of
from tina_lite.launch.prepare import RUNS, Prepared, engine_of, hourly_rate, plan_here, prepare
from tina_lite.plan import Measured, Plan, find_device, make_plan, newest_measured, plan_lines, read_shape
from tina_lite.policy.engine import Engine
from tina_lite.policy.model_folder import shipped_models
from tina_lite.recipe import Recipe, with_local_paths
from tina_lite.util.errors import BadInput

FREE = "the rate is $0/h, so the budget cannot bind; other stop rules still do"


def dry_run(recipe: Recipe, *, out: str | Path | None = None, rate: float | str | None = None) -> list[str]:
    """What a run would do, as lines for a person; loads the tokenizer but no weights, and writes nothing."""
    p = prepare(recipe, out=out, rate=rate, without_data=True)
    rollout = p.recipe.rollout
    completions = rollout.prompts_per_step * rollout.num_generations
    limit = "none" if p.recipe.budget.max_usd is None else format_price(p.recipe.budget.max_usd)
    return [
        f"run:         {p.recipe.name} into {p.path}",
        f"model:       {p.recipe.model.named} ({p.recipe.model.quantization}), on {p.device_name}",
        *(f"warning:     {warning}" for warning in p.engine.warnings),
        f"problems:    {len(p.train) or 'none read'} from {p.train.name}; skipped: {p.train.skipped or 'none'}",
        *(f"warning:     {warning}" for warning in p.warnings),
        f"a step:      {rollout.prompts_per_step} prompts x {rollout.num_generations} completions, at most "
        f"{completions * rollout.max_completion_length} tokens",
        f"steps:       {p.max_steps or 'one epoch'} at most",
        f"budget:      {limit} at {format_price(p.rate.usd_per_hour)}/h ({p.rate.source})",
        *([f"warning:     {FREE}"] if p.recipe.budget.max_usd is not None and not p.rate.binds else []),
        *(_first_prompt(p) if len(p.train) else []),
        "",
        *_forecast(p),
    ]


def _first_prompt(p: Prepared) -> list[str]:
    from tina_lite.launch.model_check import check_model, notes_on_model  # imports torch

    fitting = check_model(p.recipe, p.train)
    first = prompts_of(p.recipe, p.train, fitting.tokenizer).next(1)[0].text
    notes = notes_on_model(p.recipe, p.train, fitting)
    return [*(f"warning:     {note}" for note in notes), f"first prompt, as the model sees it:\n{first}"]


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
    hourly = hourly_rate(recipe, rate, device.priced_as, refuse_unknown=False)
    known = hourly if hourly.source != "unknown" else None
    smaller = {name: read_shape(name) for name in shipped_models()}
    rows = _rows_of(recipe)
    plan = make_plan(shape, recipe, device, rate=known, measured=measured, smaller=smaller, problems=rows)
    return plan if gpu is not None or vram_gib is not None else _with_engine(plan, engine_of(recipe))


def _rows_of(recipe: Recipe) -> int | None:
    """Problems at most, where a look tells: lines of a file, not what is usable of them."""
    path = Path(recipe.data.source)
    if path.suffix != ".jsonl" or not path.is_file():
        return recipe.data.limit
    with path.open("rb") as file:
        rows = sum(1 for line in file if line.strip())
    return min(rows, recipe.data.limit or rows) or None


def _with_engine(plan: Plan, engine: Engine) -> Plan:
    """The engine that the run would use here leads what was assumed."""
    note = f"engine {engine}"
    if engine.name == "unsloth":
        note += "; its memory and speed are not modelled, and the figures are those of the native engine"
    return replace(plan, assumptions=(note, *plan.assumptions))


def _forecast(p: Prepared) -> list[str]:
    """The plan of a run that was checked; a run may be of a model that cannot be planned."""
    try:
        plan = p.plan or plan_here(p.recipe, p.rate, p.max_steps, len(p.train), newest_measured(RUNS, p.recipe.name))
        return plan_lines(_with_engine(plan, p.engine))
    except BadInput as error:
        return [f"no plan: {error}"]
