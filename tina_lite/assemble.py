"""From a prepared run to a trainer: the recipe's numbers, each handed to the one room that needs it.

Importing this imports torch.
"""

from collections.abc import Callable
from math import inf
from typing import Any

import torch

from tina_lite.budget import Meter
from tina_lite.budget.pace import Pace
from tina_lite.device import refuse_other_card
from tina_lite.evaluate.examiner import Examiner
from tina_lite.grpo import LossSettings
from tina_lite.learner import Learner, OptimizerSettings, UpdateSettings
from tina_lite.plan.memory import least_step_bytes
from tina_lite.plan.work import Work
from tina_lite.policy import Policy
from tina_lite.policy.opening import open_policy
from tina_lite.prepare import Prepared
from tina_lite.problems import first_prompts
from tina_lite.problems.from_recipe import EVAL_SEED, prompts_of
from tina_lite.records import Prompt
from tina_lite.runs.events import EventStream, Notice
from tina_lite.runs.folder import RunFolder
from tina_lite.runs.keeper import Keeper
from tina_lite.runs.phases import Phases
from tina_lite.runs.signals import StopRequest
from tina_lite.runs.state import MachineChoices
from tina_lite.sampler import Sampler, Sampling
from tina_lite.trainer import LoopSettings, Trainer
from tina_lite.vllm_sampler import VllmSampler


def assemble(
    p: Prepared,
    tokenizer: Any,
    folder: RunFolder,
    meter: Meter,
    events: EventStream,
    stop: StopRequest,
    earlier: MachineChoices | None = None,
) -> tuple[Trainer, Policy]:
    """Load the model and put the loop together; BadInput where the recipe does not fit the model.

    `earlier`: what the machine decided when the run that is resumed began.
    """
    recipe = p.recipe
    refuse_other_card(p.card, torch.cuda)
    rollout, optim, lora, targets = recipe.rollout, recipe.optim, recipe.lora, recipe.lora.target_modules
    policy = open_policy(
        p.engine.name,
        recipe.model.id,
        tokenizer,
        r=lora.r,
        alpha=lora.alpha,
        dropout=lora.dropout,
        target_modules=targets,
        seed=recipe.seed,
        quantization=recipe.model.quantization,
        dtype=earlier.dtype if earlier else recipe.model.compute_dtype,
        max_tokens=rollout.max_prompt_length + rollout.max_completion_length,
        vllm=rollout.engine == "vllm",
        step_bytes=lambda shape, itemsize: least_step_bytes(shape, Work.of(recipe), itemsize, lora.r, targets),
        resident=earlier.resident if earlier else None,
    )

    def say(text: str) -> None:
        events.emit(Notice("warning", text))

    sampling = Sampling(
        rollout.temperature,
        rollout.max_completion_length,
        rollout.top_p,
        rollout.top_k,
        rollout.min_p,
        rollout.stop_strings,
    )
    eval_temperature = rollout.temperature if recipe.eval.temperature is None else recipe.eval.temperature
    eval_sampling = Sampling(eval_temperature, rollout.max_completion_length, stop_strings=rollout.stop_strings)
    choices = earlier or MachineChoices(
        dtype=policy.dtype_name,
        resident=policy.resident,
        kv_tokens=rollout.kv_tokens or policy.free_kv_tokens(),
        micro_batch_tokens=optim.micro_batch_tokens,
    )
    learner = Learner(
        policy,
        LossSettings(
            recipe.grpo.loss_type,
            epsilon=recipe.grpo.epsilon,
            epsilon_high=recipe.grpo.epsilon_high,
            delta=recipe.grpo.delta,
            beta=recipe.grpo.beta,
            tis_cap=recipe.tis_cap,
        ),
        UpdateSettings(
            mask_truncated_completions=recipe.grpo.mask_truncated_completions,
            temperature=sampling.scoring_temperature,
            max_completion_length=rollout.max_completion_length,
            num_iterations=recipe.grpo.num_iterations,
            micro_batch_tokens=choices.micro_batch_tokens,
            dropout=lora.dropout,
        ),
        OptimizerSettings(optim.adam_beta1, optim.adam_beta2, optim.weight_decay, optim.max_grad_norm),
        seed=recipe.seed,
        say=say,
    )
    pace = Pace(meter, p.rules, lambda: bool(stop), recipe.grpo.num_iterations)
    phases = Phases(meter, events)
    minutes = recipe.checkpoint.every_minutes
    keeper = Keeper(
        folder,
        every_steps=recipe.checkpoint.every_steps,
        every_s=60 * minutes if minutes else inf,
        keep=recipe.checkpoint.keep,
        tensors=learner.state,
        save_adapter=policy.save_adapter,
        pace=pace,
        meter=meter,
        phases=phases,
        events=events,
    )
    keeper.require_room(learner.state_bytes)
    examiner = Examiner(
        make_sampler(policy, eval_sampling, EVAL_SEED, choices.kv_tokens, say),
        _benchmark_prompts(p, tokenizer, say),
        recipe.eval.samples,
        pace=pace,
        meter=meter,
        phases=phases,
        events=events,
        stop=stop,
    )
    trainer = Trainer(
        LoopSettings(
            prompts_per_step=rollout.prompts_per_step,
            num_generations=rollout.num_generations,
            scale_rewards=recipe.grpo.scale_rewards,
            learning_rate=optim.learning_rate,
            lr_scheduler_type=optim.lr_scheduler_type,
            lr_horizon=optim.lr_horizon,
            warmup_ratio=optim.warmup_ratio,
            min_lr_ratio=optim.min_lr_ratio,
            max_steps=p.max_steps,
            one_epoch=recipe.stop.max_steps is None,
            eval_every=recipe.eval.every,
            resample_zero_variance=rollout.resample_zero_variance,
            stop_on_collapse=recipe.stop.on_collapse,
        ),
        choices=choices,
        identity=p.identity,
        sampler=make_sampler(policy, sampling, recipe.seed, choices.kv_tokens, say),
        learner=learner,
        source=prompts_of(recipe, p.train, tokenizer),
        rewards=p.rewards,
        examiner=examiner,
        keeper=keeper,
        pace=pace,
        phases=phases,
        folder=folder,
        meter=meter,
        rules=p.rules,
        events=events,
        stop=stop,
    )
    return trainer, policy


def make_sampler(policy: Policy, sampling: Sampling, seed: int, kv_tokens: int, say: Callable[[str], None]) -> Sampler:
    """vLLM's where the policy was opened with it, else our own."""
    if policy.vllm is not None:
        return VllmSampler(policy, policy.vllm, sampling, seed=seed)
    return Sampler(policy, sampling, seed=seed, kv_tokens=kv_tokens, say=say)


def _benchmark_prompts(p: Prepared, tokenizer: Any, say: Callable[[str], None]) -> dict[str, list[Prompt]]:
    recipe, longest = p.recipe, p.recipe.rollout.max_prompt_length
    found = {
        name: first_prompts(
            problems,
            tokenizer,
            recipe.eval.problems,
            max_prompt_length=longest,
            system_prompt=recipe.data.system_prompt,
        )
        for name, problems in p.benchmarks.items()
    }
    for name, prompts in found.items():
        wanted = min(recipe.eval.problems, len(p.benchmarks[name]))
        if len(prompts) < wanted:
            fits = f"only {len(prompts)} of {wanted} are asked" if prompts else "it is not measured"
            say(f"benchmark {name}: prompts are longer than rollout.max_prompt_length, {longest} tokens; {fits}")
    return {name: prompts for name, prompts in found.items() if prompts}
