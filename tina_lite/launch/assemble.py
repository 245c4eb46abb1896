"""From a prepared run to a trainer: the recipe's numbers, each handed to the one room that needs it.

Importing this imports torch.
"""

from collections.abc import Callable
from typing import Any

import torch

from tina_lite.collector import Collector
from tina_lite.device import refuse_other_card
from tina_lite.evaluate.examiner import Examiner
from tina_lite.evaluate.figures import Figures
from tina_lite.launch.model_check import refuse_endless
from tina_lite.launch.prepare import Prepared
from tina_lite.launch.probe import probe
from tina_lite.learner import Learner
from tina_lite.policy import Policy
from tina_lite.policy.demand import Demand
from tina_lite.policy.opening import open_policy
from tina_lite.problems import first_prompts
from tina_lite.problems.from_recipe import EVAL_SEED, prompts_of
from tina_lite.recipe import Recipe
from tina_lite.recipe.schema import RolloutSection
from tina_lite.recorder import Recorder
from tina_lite.records import Prompt
from tina_lite.runs.keeper import Keeper
from tina_lite.runs.session import Session
from tina_lite.runs.state import Machine, MachineChoices
from tina_lite.sampler import Sampler
from tina_lite.schedule import Schedule
from tina_lite.stateful import Stateful
from tina_lite.trainer import Trainer
from tina_lite.vllm_sampler import VllmSampler
from tina_lite.watchers import watchers_of
from tina_lite.watchers.bad_numbers import BadNumbers


def assemble(
    p: Prepared, tokenizer: Any, session: Session, earlier: MachineChoices | None = None
) -> tuple[Trainer, Policy]:
    """Load the model and put the loop together; BadInput where the recipe does not fit the model.

    `earlier`: what the machine decided when the run that is resumed began.
    """
    recipe = p.recipe
    policy = _open(p, tokenizer, earlier)
    refuse_endless(policy.stop_ids, recipe)
    layout = policy.layout
    choices = earlier or MachineChoices(
        dtype=policy.dtype_name,
        resident=layout.resident,
        kv_tokens=layout.kv_tokens,
        micro_batch_tokens=layout.micro_batch_tokens,
        activations=layout.activations,
        chunk_elements=layout.chunk_elements,
    )
    learner = Learner(
        policy,
        grpo=recipe.loss,
        optim=recipe.optim.model_copy(update={"micro_batch_tokens": choices.micro_batch_tokens}),
        rollout=recipe.rollout,
        lora=recipe.lora,
        seed=recipe.seed,
        say=session.notice,
        loss_scale=earlier.loss_scale if earlier else None,
    )
    sampler = make_sampler(policy, recipe.rollout, recipe.seed, choices.kv_tokens, session.notice)
    asks = make_sampler(policy, _evaluations(recipe), EVAL_SEED, choices.kv_tokens, session.notice)
    prompts = _benchmark_prompts(p, tokenizer, session.notice)
    if earlier is None:
        session.folder.figures.unlink(missing_ok=True)  # of a course of training that is not gone on with
    kept = Figures(lambda: session.folder.figures)
    examiner = Examiner(session, asks, prompts, recipe.eval, recipe.stop.eval_patience, kept)
    if earlier is None and recipe.probe and layout.is_tight:
        probe(recipe, sampler, learner, session)
    watchers = watchers_of(session, recipe, p.max_steps)
    machine = Machine(
        choices,
        lambda: {
            "kv_tokens": sampler.kv_tokens,
            "micro_batch_tokens": learner.micro_batch_tokens,
            "loss_scale": learner.loss_scale,
        },
    )
    parts: dict[str, Stateful] = {"evals": examiner, "choices": machine}
    parts |= {name: watcher for name, watcher in watchers.items() if isinstance(watcher, Stateful)}
    keeper = Keeper(
        session, recipe.checkpoint, learner, policy.save_adapter, p.identity, parts, keep_best=recipe.eval.best
    )
    keeper.require_room()
    source = prompts_of(recipe, p.train, tokenizer)
    scale = recipe.grpo.scale_rewards
    given = recipe.optim.schedule_steps or recipe.stop.max_steps
    schedule = Schedule(session, recipe.optim, given or p.max_steps, one_epoch=given is None)
    trainer = Trainer(
        session,
        Collector(session, sampler, source, p.rewards, recipe.rollout, scale, p.max_steps),
        learner,
        schedule,
        Recorder(session, recipe.optim, p.max_steps),
        [*watchers.values(), BadNumbers(session, keeper)],
        keeper,
        examiner,
    )
    return trainer, policy


def _open(p: Prepared, tokenizer: Any, earlier: MachineChoices | None) -> Policy:
    recipe, lora = p.recipe, p.recipe.lora
    refuse_other_card(p.card, torch.cuda)
    return open_policy(
        p.engine.name,
        recipe.model.model_copy(update={"compute_dtype": earlier.dtype}) if earlier else recipe.model,
        lora,
        recipe.rollout,
        tokenizer,
        seed=recipe.seed,
        demand=Demand.of(recipe),
        chosen=earlier,
    )


def make_sampler(
    policy: Policy, rollout: RolloutSection, seed: int, kv_tokens: int, say: Callable[[str], None]
) -> Sampler:
    """vLLM's where the policy was opened with it, else our own."""
    if policy.vllm is not None:
        return VllmSampler(policy, policy.vllm, rollout, seed=seed)
    return Sampler(policy, rollout, seed=seed, kv_tokens=kv_tokens, say=say)


def _evaluations(recipe: Recipe) -> RolloutSection:
    """The rollout's section as evaluations sample: at their own temperature, from the whole distribution."""
    temperature = recipe.rollout.temperature if recipe.eval.temperature is None else recipe.eval.temperature
    return recipe.rollout.model_copy(update={"temperature": temperature, "top_p": 1.0, "top_k": 0, "min_p": 0.0})


def _benchmark_prompts(p: Prepared, tokenizer: Any, say: Callable[[str], None]) -> dict[str, list[Prompt]]:
    recipe, found = p.recipe, {}
    for name, problems in p.benchmarks.items():
        prompts, reasons = first_prompts(
            problems,
            tokenizer,
            recipe.eval.problems,
            max_prompt_length=recipe.rollout.max_prompt_length,
            system_prompt=recipe.data.system_prompt,
        )
        wanted = min(recipe.eval.problems, len(problems))
        if len(prompts) < wanted:
            fits = f"only {len(prompts)} of {wanted} are asked" if prompts else "it is not measured"
            say(f"benchmark {name}: {fits}: {'; '.join(reasons)}")
        if prompts:
            found[name] = prompts
    return found
