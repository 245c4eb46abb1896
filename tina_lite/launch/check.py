"""Every check of a run that can be made before money is spent: nothing heavy is loaded, and nothing is written."""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from math import ceil
from pathlib import Path
from typing import Any

from tina_lite.budget import Meter, Rate, read_bills
from tina_lite.budget.conditions import Condition, seconds_until
from tina_lite.budget.guard import guard
from tina_lite.budget.limits import Limits
from tina_lite.budget.meter import ProcessClock, begin_run
from tina_lite.data import ProblemSet
from tina_lite.data.sources import HELD_OUT, problems_of
from tina_lite.launch.planning import engine_of, hourly_rate, plan_at_once, refuse_first_step
from tina_lite.launch.resume import fixed_part, pinned, refuse_used_up, same_run
from tina_lite.plan import Plan, newest_measured
from tina_lite.policy.engine import Engine
from tina_lite.policy.model_folder import digests
from tina_lite.recipe import Recipe, with_local_paths
from tina_lite.rewards import WeightedReward, try_rewards, wants_answers, weighted_rewards
from tina_lite.runs.folder import RUNS, free_folder, refuse_taken
from tina_lite.runs.health import RULES
from tina_lite.runs.identity import Identity, code_digests
from tina_lite.runs.metrics import metric_names
from tina_lite.track import address_of, refuse_missing
from tina_lite.train.selection import refuse_columns
from tina_lite.util.device import cpu_threads, usable_card
from tina_lite.util.errors import BadInput, nearest, one_line
from tina_lite.util.user_code import guest, load_function

FREE = "the rate is $0/h, so the budget cannot bind; other stop rules still do"
FEW = 20
QUICKEST_START_S = 6.0
"""No run was ever seen to import, load and take a step in less."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A run whose every input is known to hold."""

    recipe: Recipe
    card: str | None
    engine: Engine
    rate: Rate
    limits: Limits
    rewards: list[WeightedReward]
    callbacks: list[tuple[str, Any]]
    """A user's own, by name."""
    train: ProblemSet
    benchmarks: dict[str, ProblemSet]
    warnings: tuple[str, ...]
    """Of the data, and of the budget."""
    max_steps: int
    """stop.max_steps, or one epoch."""
    plan: Plan | None
    """None where none is known at once."""
    identity: Identity
    path: Path
    own_name: bool
    """Whether the folder has the run's name, and another one will do where that is taken meanwhile."""
    resume: bool
    force_restart: bool
    """A resumed run of which no checkpoint is whole begins again."""

    @property
    def device_name(self) -> str:
        """Name the device for people."""
        return self.card or f"cpu ({cpu_threads()} threads)"


def check(
    recipe: Recipe,
    *,
    out: str | Path | None = None,
    rate: float | str | None = None,
    resume: bool = False,
    force_recipe: bool = False,
    force_restart: bool = False,
    asked: Collection[str] = (),
    without_data: bool = False,
    callbacks: Sequence[Any] = (),
) -> Checked:
    """Check everything that needs neither the model nor the disk. Raises BadInput, NoRoom or NothingLeft.

    `force_recipe` lets the limits of a resumed run be others than it began with; `force_restart` lets it begin again
    where no checkpoint is whole. `asked` names limits that may differ without it, as they were asked for one by one.
    `without_data` lets a hub data set be that is out of reach: the training set is empty then, and a warning says why.
    """
    begin_run()
    path = Path(os.path.expanduser(out)) if out is not None else free_folder(RUNS, recipe.name)
    recipe = with_local_paths(recipe)
    recipe = same_run(path, recipe, force=force_recipe, asked=asked) if resume else pinned(recipe)
    refuse_missing(recipe.track)
    if recipe.notify is not None:
        address_of(recipe.notify)
    engine = engine_of(recipe)
    card = usable_card()
    hourly = hourly_rate(recipe.budget, rate, card, needs_price=recipe.budget.max_usd is not None)
    limits = _limits(recipe)
    if resume:
        # A session more may be an hour more on the bill: it is not begun where the budget does not hold it.
        bills = read_bills(path / "ledger.jsonl")
        meter = Meter.in_memory(hourly, earlier=bills)
        refuse_used_up(path, limits, meter.read(), bills)
    else:
        refuse_taken(path)
        # A budget that cannot pay for loading is refused in the first second.
        meter = Meter.in_memory(hourly)
        limits.refuse_if_hopeless(meter.read(), QUICKEST_START_S)
    guard(meter, limits, path, "nothing was trained in this session")
    rewards = weighted_rewards(recipe.rewards, recipe.folder)
    _refuse_unknown_metric(recipe, rewards)
    _refuse_unknown_alarm(recipe)
    theirs = [_named(one, recipe.folder) for one in (*recipe.callbacks, *callbacks)]
    if len(dict(theirs)) < len(theirs):
        raise BadInput(f"callbacks: two of {', '.join(name for name, _ in theirs)} have one name; rename one")
    wanted = wants_answers(one.reward for one in rewards)
    train, benchmarks, warnings, _ = problems_of(recipe, without_data=without_data, golds_wanted=wanted)
    refuse_columns(recipe.data, train)
    if len(train):
        warnings += tuple(try_rewards(rewards, train[0]))
    warnings += _contradictions(recipe) + _too_few(benchmarks)
    max_steps = recipe.stop.max_steps or ceil(len(train) / recipe.rollout.prompts_per_step)
    limits = replace(limits, max_steps=max_steps)
    measured = newest_measured(RUNS, recipe.name)
    plan = plan_at_once(recipe, hourly, max_steps, len(train), measured)
    if plan is not None and not resume:
        warnings += refuse_first_step(plan, recipe, limits, meter.read(), measured)
    return Checked(
        recipe,
        card,
        engine,
        hourly,
        limits,
        rewards,
        theirs,
        train,
        benchmarks,
        warnings,
        max_steps,
        plan,
        Identity(
            len(train),
            train.digest(),
            {name: problems.digest() for name, problems in benchmarks.items()},
            digests(recipe.model.id),
            code_digests((weighted.reward.name, weighted.reward.function) for weighted in rewards),
            card or "the CPU",
            fixed_part(recipe),
        ),
        path,
        out is None and not resume,
        resume,
        force_restart,
    )


def _named(callback: Any, folder: Path) -> tuple[str, Any]:
    """A user's callback with its name, made if it is a class. BadInput where it cannot be found or made."""
    if isinstance(callback, str):
        if ":" not in callback:
            raise BadInput(f"callbacks: {callback}: write it as module:function or path/to/file.py:function")
        callback = load_function(callback, folder, "callbacks")
    name = getattr(callback, "__name__", type(callback).__name__)
    if not isinstance(callback, type):
        return name, callback
    try:
        with guest(name):
            return name, callback()
    except Exception as error:
        raise BadInput(f"callbacks: {name} cannot be made: {type(error).__name__}: {one_line(error)}") from error


def _limits(recipe: Recipe) -> Limits:
    """Those that the recipe states; a moment of the calendar becomes one of this session, once and for all."""
    stop = recipe.stop
    until_s = None
    if stop.until is not None:  # a duration counts from the start of the process, a time of day from now
        now = datetime.now().astimezone()
        until_s = seconds_until(stop.until, now) + (ProcessClock().elapsed_s() if ":" in stop.until else 0.0)
    return Limits(recipe.budget.max_usd, stop.max_hours, stop.max_steps, stop.max_tokens, until_s)


def _too_few(benchmarks: Mapping[str, ProblemSet]) -> tuple[str, ...]:
    """An interval of so few problems is wider than what a run gains."""
    held = benchmarks.get(HELD_OUT)
    if held is None or len(held) >= FEW:
        return ()
    return (f"held_out: {len(held)} problems are too few to tell what the run gained; raise data.held_out",)


def _contradictions(recipe: Recipe) -> tuple[str, ...]:
    """Fields that are each right and pull against one another."""
    thinks = recipe.data.chat_template_kwargs.get("enable_thinking", True)
    wants = any(one.name == "format" and one.params.get("variant", "think") == "think" for one in recipe.rewards)
    if thinks or not wants:
        return ()
    return (
        "enable_thinking: false asks for answers without thinking, and reward format is for a closing </think>: leave "
        "one of them out, or take {name: format, variant: boxed}",
    )


def _refuse_unknown_alarm(recipe: Recipe) -> None:
    for name in recipe.alarms:
        if name not in RULES:
            hint = _nearest_or_all(name, list(RULES))
            raise BadInput(f"alarms.{name}: there is no such alarm{hint}; tina-lite alarms lists them")


def _refuse_unknown_metric(recipe: Recipe, rewards: Sequence[WeightedReward]) -> None:
    """BadInput where no step of the run can have the metric that it is to stop by."""
    condition = Condition.parse(recipe.stop.when) if recipe.stop.when else None
    names = metric_names([weighted.reward.name for weighted in rewards])
    if condition is not None and condition.metric not in names:
        raise BadInput(f"stop.when: there is no metric {condition.metric}{_nearest_or_all(condition.metric, names)}")


def _nearest_or_all(name: str, known: list[str]) -> str:
    return nearest(name, known) or f"; known are {', '.join(known)}"
