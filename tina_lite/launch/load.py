"""A run loaded: policy, sampler, learner, rewards, callbacks, each with its part of the recipe; it imports torch."""

import shutil
from collections.abc import Callable, Sequence
from typing import Any

import torch

from tina_lite.budget.conditions import Condition
from tina_lite.data import PromptSource, first_prompts
from tina_lite.data.sources import EVAL_SEED, prompts_of
from tina_lite.eval.evaluator import Evaluator
from tina_lite.launch.check import Checked
from tina_lite.launch.model_check import refuse_endless
from tina_lite.policy import Policy
from tina_lite.policy.load import open_policy
from tina_lite.policy.memory_request import MemoryRequest
from tina_lite.recipe import Recipe
from tina_lite.recipe.schema import RolloutSection
from tina_lite.rollout.sampler import Sampler
from tina_lite.rollout.vllm import VllmSampler
from tina_lite.runs.checkpoint_manager import CheckpointManager
from tina_lite.runs.session import Session
from tina_lite.runs.state import CheckpointState, Machine, SavedRuntime
from tina_lite.train.alarms import HealthWatch, HopelessWatch
from tina_lite.train.callbacks import (
    Callback,
    Checkpoints,
    ConditionWatch,
    EtaWatch,
    Evaluations,
    NonfiniteSteps,
    StopFile,
    UserCallback,
)
from tina_lite.train.collect import Collector
from tina_lite.train.learner import Learner
from tina_lite.train.recorder import Recorder
from tina_lite.train.savings import Savings
from tina_lite.train.schedule import Schedule
from tina_lite.train.selection import Selector
from tina_lite.train.trainer import Trainer
from tina_lite.train.turning_point import TurningPoint
from tina_lite.util.device import refuse_other_card
from tina_lite.util.records import Completion, Group, Problem, Prompt, ScoredGroup

ANY_TOKEN = 1


def load(p: Checked, session: Session, tokenizer: Any, kept: CheckpointState | None) -> Trainer:
    """Load the model and put the loop together; BadInput where the recipe does not fit the model.

    `kept`: the checkpoint that a resumed run goes on from.
    """
    recipe, earlier = p.recipe, kept.choices if kept else None
    policy = _open(p, tokenizer, earlier)
    refuse_endless(policy.stop_ids, recipe)
    layout = policy.layout
    choices = earlier or SavedRuntime(
        dtype=policy.dtype_name,
        dense_copy=layout.dense_copy,
        in_4_bits=layout.in_4_bits,
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
        warn=session.warn,
        loss_scale=earlier.loss_scale if earlier else None,
    )
    sampler = make_sampler(policy, recipe.rollout, recipe.seed, choices.kv_tokens, session.warn)
    asks = make_sampler(policy, _evaluations(recipe), EVAL_SEED, choices.kv_tokens, session.warn)
    prompts = _benchmark_prompts(p, tokenizer, session.warn)
    if earlier is None:
        session.folder.figures.unlink(missing_ok=True)  # of a course of training that is not gone on with
        shutil.rmtree(session.folder.evals, ignore_errors=True)
    evaluator = Evaluator(session, asks, prompts, recipe.eval, recipe.stop.eval_patience)
    if earlier is None and recipe.probe and layout.is_tight:
        probe(recipe, sampler, learner, session)
    ends = recipe.stop.on_turning_point
    turn = TurningPoint(session, ends.patience if ends else None)
    machine = Machine(
        choices,
        lambda: {
            "kv_tokens": sampler.kv_tokens,
            "micro_batch_tokens": learner.micro_batch_tokens,
            "loss_scale": learner.loss_scale,
        },
    )
    checkpoints = CheckpointManager(
        session,
        recipe.checkpoint,
        learner,
        policy.save_adapter,
        p.identity,
        keep_best=recipe.eval.best,
        keep_steps=lambda: {evaluator.gains.best_eval_step, turn.kept.checkpoint},
    )
    checkpoints.require_room()
    source = prompts_of(recipe, p.train, tokenizer)
    scale = recipe.grpo.scale_rewards
    given = recipe.optim.schedule_steps or recipe.stop.max_steps
    schedule = Schedule(session, recipe.optim, given or p.max_steps, one_epoch=given is None)
    selector = _selector(recipe, source)
    collector = Collector(session, sampler, source, p.rewards, recipe.rollout, scale, selector, p.max_steps)
    callbacks = callbacks_of(session, recipe, p.max_steps, p.callbacks, turn, evaluator, checkpoints)
    checkpoints.parts |= {"evals": evaluator, "choices": machine, "schedule": schedule.kept, "rewards": collector.kept}
    checkpoints.parts |= {"selection": selector.kept} if selector else {}
    checkpoints.parts |= {n: one for n, one in callbacks.items() if one.kept or isinstance(one, UserCallback)}
    checkpoints.snapshot()
    if kept is not None:
        checkpoints.restore(kept)
        schedule.warn_if_changed()
    recorder = Recorder(session, schedule, p.max_steps)
    return Trainer(session, collector, learner, schedule, recorder, callbacks, checkpoints)


def callbacks_of(
    session: Session,
    recipe: Recipe,
    max_steps: int,
    theirs: Sequence[tuple[str, Any]],
    turn: TurningPoint,
    evaluator: Evaluator,
    checkpoints: CheckpointManager,
) -> dict[str, Callback]:
    """All of a run by name, in the order in which they look: what they keep is seen by the checkpoint behind them."""
    stop = recipe.stop
    condition = Condition.parse(stop.when) if stop.when else None
    return {
        "stop_file": StopFile(session),
        **({"condition": ConditionWatch(condition, stop.patience)} if condition else {}),
        "health": HealthWatch(session, recipe.alarms, ends_run=stop.on_collapse),
        **({"hopeless": HopelessWatch(session, stop.hopeless)} if stop.hopeless else {}),
        "turning_point": turn,
        "savings": Savings(session),
        "eta": EtaWatch(session, max_steps),
        **{f"callback {name}": UserCallback(session, name, one) for name, one in theirs},
        "nonfinite": NonfiniteSteps(session, checkpoints),
        "checkpoints": Checkpoints(session, checkpoints),
        "gains": Evaluations(session, evaluator, checkpoints),
    }


def _selector(recipe: Recipe, source: PromptSource) -> Selector | None:
    """By accuracy, where that is a reward, else by the first that the recipe names."""
    if recipe.rollout.selection == "uniform":
        return None
    names = [reward.name for reward in recipe.rewards]
    return Selector(source, recipe.data, "accuracy" if "accuracy" in names else names[0], recipe.seed)


def _open(p: Checked, tokenizer: Any, earlier: SavedRuntime | None) -> Policy:
    recipe, lora = p.recipe, p.recipe.lora
    refuse_other_card(p.card, torch.cuda)
    return open_policy(
        p.engine.name,
        recipe.model.model_copy(update={"compute_dtype": earlier.dtype}) if earlier else recipe.model,
        lora,
        recipe.rollout,
        tokenizer,
        seed=recipe.seed,
        memory_request=MemoryRequest.of(recipe),
        runtime=earlier,
    )


def make_sampler(
    policy: Policy, rollout: RolloutSection, seed: int, kv_tokens: int, warn: Callable[[str], None]
) -> Sampler:
    """vLLM's where the policy was opened with it, else our own."""
    if policy.vllm is not None:
        return VllmSampler(policy, policy.vllm, rollout, seed=seed)
    return Sampler(policy, rollout, seed=seed, kv_tokens=kv_tokens, warn=warn)


def _evaluations(recipe: Recipe) -> RolloutSection:
    """The rollout's section as evaluations sample: at their own temperature, from the whole distribution."""
    temperature = recipe.rollout.temperature if recipe.eval.temperature is None else recipe.eval.temperature
    whole = {"top_p": 1.0, "top_k": 0, "min_p": 0.0, "stop_loops": False}
    return recipe.rollout.model_copy(update={"temperature": temperature, **whole})


def _benchmark_prompts(p: Checked, tokenizer: Any, warn: Callable[[str], None]) -> dict[str, list[Prompt]]:
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
            warn(f"benchmark {name}: {fits}: {'; '.join(reasons)}")
        if prompts:
            found[name] = prompts
    return found


def probe(recipe: Recipe, sampler: Sampler, learner: Learner, session: Session) -> None:
    """Decode full rows of the longest prompts and completions once, and differentiate a full micro-batch of them.

    Where memory does not suffice, sampler and learner go on with less, and say so; NoRoom where none is left to give.
    """
    rollout, started = recipe.rollout, session.meter.elapsed_s()
    if rollout.engine == "native":
        sampler.rehearse(_tokens(rollout.max_prompt_length), rollout.prompts_per_step, rollout.num_generations)
    learner.rehearse([longest_group(recipe) for _ in range(rollout.prompts_per_step)])
    seconds = session.meter.elapsed_s() - started
    session.warn(
        f"memory will be tight, so the longest rollout and update were tried: {seconds:.1f} s; "
        "--set probe=false leaves it out"
    )


def _tokens(count: int) -> tuple[int, ...]:
    return (ANY_TOKEN,) * count


def longest_group(recipe: Recipe) -> ScoredGroup:
    """A made-up group, as long as is allowed, and teaching."""
    rollout = recipe.rollout
    length, count = rollout.max_completion_length, rollout.num_generations
    completion = Completion(_tokens(length), (0.0,) * length, "", "stop")
    prompt = Prompt(Problem(0, "", "", {}), "", _tokens(rollout.max_prompt_length))
    advantages = tuple(float((-1) ** number) for number in range(count))
    return ScoredGroup(Group(prompt, (completion,) * count), {}, (0.0,) * count, advantages)
