"""From a recipe to a run: check what can be checked before money is spent, load, train, close.

The order is the point. Budget, rate, rewards, problems and folder are looked at before anything heavy is loaded, and
the run folder is made once nothing that a person typed can fail any more.
"""

import os
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tina_lite import __version__
from tina_lite.budget import Limits, Meter, Rate, StopRules, format_usd, resolve_rate
from tina_lite.device import card_name
from tina_lite.errors import BadInput, TinaError
from tina_lite.problems import ProblemSet, PromptSource, first_prompts, hold_out, load_problems
from tina_lite.recipe import DataSection, Electricity, Recipe
from tina_lite.records import Prompt
from tina_lite.rewards import WeightedReward, resolve
from tina_lite.runs import checkpoint
from tina_lite.runs.card import model_card
from tina_lite.runs.events import EventStream, Listener, Notice, PhaseChanged, RunFinished, RunStarted
from tina_lite.runs.files import write_atomically
from tina_lite.runs.folder import RunFolder, free_folder, refuse_taken
from tina_lite.runs.signals import StopRequest
from tina_lite.runs.summary import eval_fields

if TYPE_CHECKING:
    from tina_lite.policy.portable import PortablePolicy
    from tina_lite.trainer import Trainer

RUNS = Path("runs")
HELD_OUT = "held_out"
EVAL_SEED = 0
"""Evaluation asks the same problems with the same random numbers whatever the run's seed."""
QUICKEST_START_S = 6.0
"""No run was ever seen to import, load and take a step in less."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run whose every input has been checked; nothing is written or loaded yet."""

    recipe: Recipe
    card: str | None
    rate: Rate
    rules: StopRules
    rewards: list[WeightedReward]
    train: ProblemSet
    benchmarks: dict[str, ProblemSet]
    max_steps: int
    path: Path
    resume: bool


def run(
    recipe: Recipe,
    *,
    out: str | Path | None = None,
    rate: float | str | None = None,
    resume: bool = False,
    listeners: Sequence[Listener] = (),
) -> dict[str, Any]:
    """Train as the recipe says; returns the summary that the run folder keeps as summary.json.

    Args:
        recipe: from `Recipe.load`.
        out: the run folder; default runs/NAME, or the next free of NAME-2, NAME-3, ...
        rate: US dollars per hour; wins over the recipe's.
        resume: go on with the run in `out` from its newest checkpoint.
        listeners: called with every event (`tina_lite.runs.events.Stamped`).

    Raises:
        BadInput: something given cannot be used; nothing was written.
        NoRoom: the budget or the machine is too small.
        Interrupted: a signal ended the run, after it had saved.
    """
    return train(prepare(recipe, out=out, rate=rate, resume=resume), listeners)


def train(prepared: Prepared, listeners: Sequence[Listener] = ()) -> dict[str, Any]:
    """`run` after its checks."""
    return _Session(prepared, listeners).run()


def dry_run(recipe: Recipe, *, out: str | Path | None = None, rate: float | str | None = None) -> list[str]:
    """What a run would do, as lines for a person; loads the tokenizer but no weights, and writes nothing."""
    p = prepare(recipe, out=out, rate=rate)
    rollout = p.recipe.rollout
    source = _prompt_source(p, _tokenizer(p.recipe))
    completions = rollout.prompts_per_step * rollout.num_generations
    limit = "none" if p.recipe.budget.max_usd is None else format_usd(p.recipe.budget.max_usd)
    return [
        f"run:         {p.recipe.name} into {p.path}",
        f"model:       {p.recipe.model.id} ({p.recipe.model.quantization}), on {_device_name(p.card)}",
        f"problems:    {len(p.train)} from {p.train.name}; skipped: {dict(p.train.skipped) or 'none'}",
        f"a step:      {rollout.prompts_per_step} prompts x {rollout.num_generations} completions, at most "
        f"{completions * rollout.max_completion_length} tokens",
        f"steps:       {p.max_steps} at most",
        f"budget:      {limit} at ${p.rate.usd_per_hour:g}/h ({p.rate.source})",
        f"first prompt, as the model sees it:\n{source.next(1)[0].text}",
    ]


def prepare(
    recipe: Recipe, *, out: str | Path | None = None, rate: float | str | None = None, resume: bool = False
) -> Prepared:
    """Check everything that needs neither the model nor the disk. Raises BadInput or NoRoom."""
    recipe = recipe.with_local_paths()
    card = card_name()
    hourly = _rate(recipe, rate, card)
    path = Path(out) if out is not None else free_folder(RUNS, recipe.name)
    if resume:
        _refuse_changed_recipe(path, recipe)
    else:
        refuse_taken(path)
        # A budget that cannot pay for loading is refused in the first second.
        _rules(recipe, None).refuse_if_hopeless(Meter.in_memory(hourly).read(), QUICKEST_START_S, 0.0)
    rewards = [
        WeightedReward(resolve(section.name, section.params, recipe.folder), section.weight)
        for section in recipe.rewards
    ]
    train, benchmarks = _problems(recipe)
    max_steps = recipe.stop.max_steps or ceil(len(train) / recipe.rollout.prompts_per_step)
    return Prepared(
        recipe, card, hourly, _rules(recipe, max_steps), rewards, train, benchmarks, max_steps, path, resume
    )


class _Session:
    """One process's share of a run."""

    def __init__(self, prepared: Prepared, listeners: Sequence[Listener]) -> None:
        self._p = prepared
        self._listeners = listeners
        self._damaged: list[str] = []

    def run(self) -> dict[str, Any]:
        p = self._p
        saved = self._newest_checkpoint() if p.resume else None
        tokenizer = _tokenizer(p.recipe)
        _prompt_source(p, tokenizer).next(1)  # the last thing that a wrong recipe can break
        folder = self._open_folder(saved)
        with ExitStack() as stack:
            stack.callback(folder.close)
            stop = stack.enter_context(StopRequest())
            meter = Meter.open(folder.ledger, p.rate)
            stack.callback(meter.close)
            events = EventStream(meter.elapsed_s, meter.usd)
            for listener in (folder.listener, *self._listeners):
                events.subscribe(listener)
            self._announce(events, saved)
            try:
                with meter.phase("load"):
                    trainer, policy = self._load(tokenizer, folder, meter, events, stop)
            except BadInput:
                self._leave_nothing()
                raise
            if saved is not None:
                trainer.restore(saved)
            try:
                trainer.train()
            except TinaError as error:
                trainer.stop_reason = trainer.stop_reason or error.kind
                self._close(trainer, policy, folder, meter, events)
                raise
            return self._close(trainer, policy, folder, meter, events)

    def _leave_nothing(self) -> None:
        """A recipe that fails while the model is loaded leaves no folder that the next try would stumble over."""
        if not self._p.resume:
            shutil.rmtree(self._p.path)
            if self._p.path.parent == RUNS and not any(RUNS.iterdir()):
                RUNS.rmdir()

    def _newest_checkpoint(self) -> checkpoint.Checkpoint | None:
        saved, self._damaged = checkpoint.newest(self._p.path / "checkpoints")
        return saved

    def _open_folder(self, saved: checkpoint.Checkpoint | None) -> RunFolder:
        if self._p.resume:
            return RunFolder.reopen(self._p.path, saved.step if saved else 0)
        return RunFolder.create(self._p.path, self._p.recipe.to_yaml())

    def _announce(self, events: EventStream, saved: checkpoint.Checkpoint | None) -> None:
        p = self._p
        events.emit(
            RunStarted(
                name=p.recipe.name,
                folder=str(p.path),
                version=__version__,
                model=p.recipe.model.id,
                engine="portable",
                device=_device_name(p.card),
                seed=p.recipe.seed,
                rate=p.rate.usd_per_hour,
                rate_source=p.rate.source,
                max_usd=p.recipe.budget.max_usd,
                max_hours=p.recipe.stop.max_hours,
                max_steps=p.max_steps,
                resumed_from_step=saved.step if saved else 0,
            )
        )
        if p.recipe.budget.max_usd is not None and not p.rate.binds:
            events.emit(Notice("warning", "the rate is $0/h, so the budget cannot bind; other stop rules still do"))
        for reason, count in p.train.skipped.items():
            events.emit(Notice("warning", f"{p.train.name}: {count} rows skipped: {reason}"))
        for name in self._damaged:
            events.emit(Notice("warning", f"checkpoint {name} is damaged and was passed over"))
        events.emit(PhaseChanged("load", 0))

    def _load(
        self, tokenizer: Any, folder: RunFolder, meter: Meter, events: EventStream, stop: StopRequest
    ) -> tuple["Trainer", "PortablePolicy"]:
        from tina_lite.grpo import LossSettings
        from tina_lite.learner import Learner, OptimizerSettings, UpdateSettings
        from tina_lite.policy.portable import PortablePolicy
        from tina_lite.sampler import Sampler, Sampling
        from tina_lite.trainer import Plan, Trainer

        recipe = self._p.recipe
        rollout, optim, lora = recipe.rollout, recipe.optim, recipe.lora
        policy = PortablePolicy(
            recipe.model.id,
            tokenizer,
            r=lora.r,
            alpha=lora.alpha,
            dropout=lora.dropout,
            target_modules=lora.target_modules,
            seed=recipe.seed,
            quantization=recipe.model.quantization,
            dtype=recipe.model.compute_dtype,
        )
        sampling = Sampling(
            rollout.temperature, rollout.max_completion_length, rollout.top_p, rollout.top_k, rollout.min_p
        )
        eval_temperature = rollout.temperature if recipe.eval.temperature is None else recipe.eval.temperature
        eval_sampling = Sampling(eval_temperature, rollout.max_completion_length)
        kv_tokens = rollout.kv_tokens or policy.free_kv_tokens()
        learner = Learner(
            policy,
            LossSettings(
                recipe.grpo.loss_type,
                epsilon=recipe.grpo.epsilon,
                epsilon_high=recipe.grpo.epsilon_high,
                delta=recipe.grpo.delta,
                beta=recipe.grpo.beta,
                tis_cap=recipe.grpo.tis_cap,
            ),
            UpdateSettings(
                mask_truncated_completions=recipe.grpo.mask_truncated_completions,
                temperature=sampling.scoring_temperature,
                max_completion_length=rollout.max_completion_length,
                num_iterations=recipe.grpo.num_iterations,
                micro_batch_tokens=optim.micro_batch_tokens,
            ),
            OptimizerSettings(optim.adam_beta1, optim.adam_beta2, optim.weight_decay, optim.max_grad_norm),
            seed=recipe.seed,
        )
        trainer = Trainer(
            Plan(
                prompts_per_step=rollout.prompts_per_step,
                num_generations=rollout.num_generations,
                scale_rewards=recipe.grpo.scale_rewards,
                learning_rate=optim.learning_rate,
                lr_scheduler_type=optim.lr_scheduler_type,
                warmup_ratio=optim.warmup_ratio,
                min_lr_ratio=optim.min_lr_ratio,
                max_steps=self._p.max_steps,
                checkpoint_every=recipe.checkpoint.every_steps,
                checkpoint_keep=recipe.checkpoint.keep,
                eval_every=recipe.eval.every,
                eval_samples=recipe.eval.samples,
                resample_zero_variance=rollout.resample_zero_variance,
            ),
            saver=policy,
            sampler=Sampler(policy, sampling, seed=recipe.seed, kv_tokens=kv_tokens),
            learner=learner,
            source=_prompt_source(self._p, tokenizer),
            rewards=self._p.rewards,
            benchmarks=self._prompts(tokenizer),
            eval_sampler=Sampler(policy, eval_sampling, seed=EVAL_SEED, kv_tokens=kv_tokens),
            folder=folder,
            meter=meter,
            rules=self._p.rules,
            events=events,
            stop=stop,
        )
        return trainer, policy

    def _prompts(self, tokenizer: Any) -> dict[str, list[Prompt]]:
        recipe = self._p.recipe
        found = {
            name: first_prompts(
                problems,
                tokenizer,
                recipe.eval.problems,
                max_prompt_length=recipe.rollout.max_prompt_length,
                system_prompt=recipe.data.system_prompt,
            )
            for name, problems in self._p.benchmarks.items()
        }
        return {name: prompts for name, prompts in found.items() if prompts}

    def _close(
        self, trainer: "Trainer", policy: "PortablePolicy", folder: RunFolder, meter: Meter, events: EventStream
    ) -> dict[str, Any]:
        """Model card and summary, at the bill of the last moment."""
        p, state, reading = self._p, trainer.state, meter.read()
        summary: dict[str, Any] = {
            "name": p.recipe.name,
            "stop_reason": trainer.stop_reason,
            "steps": state.step,
            "usd": reading.usd,
            "gpu_hours": reading.gpu_hours,
            "rate": reading.rate,
            "rate_source": p.rate.source,
            "usd_by_phase": dict(reading.usd_by_phase),
            "tokens": {
                "prompt": state.prompt_tokens,
                "completion": state.completion_tokens,
                "trained": state.trained_tokens,
            },
            "reward": {
                "first": state.reward_first,
                "last": state.reward_last,
                "best": state.reward_best,
                "best_step": state.best_step,
            },
            "eval": {when: eval_fields(trainer.evals.get(when, {})) for when in ("before", "after")},
            "adapter": str(folder.adapter) if folder.adapter.exists() else None,
            "version": __version__,
            "seed": p.recipe.seed,
            "folder": str(p.path),
        }
        if folder.adapter.exists():
            card = model_card(
                summary,
                base=policy.base_name,
                data=p.recipe.data.source,
                quantization=p.recipe.model.quantization,
                rewards=[f"{section.weight:g} x {section.name}" for section in p.recipe.rewards],
                device=_device_name(p.card),
            )
            write_atomically(folder.adapter / "README.md", card)
        folder.write_summary(summary)
        events.emit(RunFinished(summary))
        return summary


def _rate(recipe: Recipe, flag: float | str | None, card: str | None) -> Rate:
    wanted = recipe.budget.rate
    given = wanted.model_dump() if isinstance(wanted, Electricity) else None if wanted == "auto" else wanted
    return resolve_rate(flag, given, os.environ, card, recipe.budget.max_usd is not None)


def _rules(recipe: Recipe, max_steps: int | None) -> StopRules:
    return StopRules(Limits(recipe.budget.max_usd, recipe.stop.max_hours, max_steps))


def _problems(recipe: Recipe) -> tuple[ProblemSet, dict[str, ProblemSet]]:
    """What is trained on, and the benchmarks by name; they never share a problem with it."""
    data = recipe.data
    problems = _source(data, recipe, data.split, recipe.seed, data.limit)
    benchmarks = {}
    for name in recipe.eval.benchmarks:
        if name != HELD_OUT:
            benchmarks[name] = load_problems(name, base_folder=recipe.folder, limit=recipe.eval.problems)
        elif data.source == "arithmetic":
            benchmarks[name] = _source(data, recipe, "test", EVAL_SEED, None)
        else:
            problems, benchmarks[name] = hold_out(problems, data.held_out)
            if not len(benchmarks[name]) or not len(problems):
                raise BadInput(
                    f"data.held_out: a share of {data.held_out} leaves {len(problems)} problems to train on and "
                    f"{len(benchmarks[name])} to test on; give more data or another share"
                )
    return problems, benchmarks


def _source(data: DataSection, recipe: Recipe, split: str | None, seed: int, limit: int | None) -> ProblemSet:
    return load_problems(
        data.source,
        split=split,
        config=data.config,
        prompt=data.prompt,
        answer=data.answer,
        params=data.params,
        seed=seed,
        limit=limit,
        base_folder=recipe.folder,
    )


def _prompt_source(prepared: Prepared, tokenizer: Any) -> PromptSource:
    recipe = prepared.recipe
    return PromptSource(
        prepared.train,
        tokenizer,
        max_prompt_length=recipe.rollout.max_prompt_length,
        system_prompt=recipe.data.system_prompt,
        seed=recipe.seed,
    )


def _tokenizer(recipe: Recipe) -> Any:
    from tina_lite.policy.loading import load_tokenizer

    return load_tokenizer(recipe.model.id)


def _refuse_changed_recipe(path: Path, recipe: Recipe) -> None:
    """A resumed run is the same run: only its limits may change."""
    kept = path / "recipe.yaml"
    if not kept.exists():
        raise BadInput(f"{path}: holds no run to resume; start one without --resume")
    old, new = Recipe.load(kept).model_dump(), recipe.model_dump()
    for name in old:
        if name not in ("budget", "stop", "checkpoint") and old[name] != new[name]:
            fields = (
                [key for key in old[name] if old[name][key] != new[name][key]] if isinstance(old[name], dict) else []
            )
            field = f"{name}.{fields[0]}" if fields else name
            raise BadInput(f"{path}: the recipe has changed at {field}; resume with {kept}, or choose another --out")


def _device_name(card: str | None) -> str:
    return card or f"cpu ({os.cpu_count()} threads)"
