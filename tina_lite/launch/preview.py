"""What a run will take and how its first prompt looks, before anything is loaded: --dry-run and plan."""

from pathlib import Path

from tina_lite.budget import format_price
from tina_lite.data.sources import prompts_of
from tina_lite.launch.check import FREE, Checked, check
from tina_lite.launch.planning import plan_here, with_engine
from tina_lite.plan import newest_measured, plan_lines
from tina_lite.recipe import Recipe
from tina_lite.runs.folder import RUNS
from tina_lite.util.errors import BadInput


def dry_run(recipe: Recipe, *, out: str | Path | None = None, rate: float | str | None = None) -> list[str]:
    """What a run would do, as lines for a person; loads the tokenizer but no weights, and writes nothing."""
    p = check(recipe, out=out, rate=rate, without_data=True)
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


def _first_prompt(p: Checked) -> list[str]:
    from tina_lite.launch.model_check import check_model  # imports torch

    fitting = check_model(p.recipe, p.train)
    first = prompts_of(p.recipe, p.train, fitting.tokenizer).next(1)[0].text
    return [*(f"warning:     {note}" for note in fitting.notes), f"first prompt, as the model sees it:\n{first}"]


def _forecast(p: Checked) -> list[str]:
    """The plan of a run that was checked; a run may be of a model that cannot be planned."""
    try:
        plan = p.plan or plan_here(p.recipe, p.rate, p.max_steps, len(p.train), newest_measured(RUNS, p.recipe.name))
        return plan_lines(with_engine(plan, p.engine))
    except BadInput as error:
        return [f"no plan: {error}"]
