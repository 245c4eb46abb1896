"""tina-lite's side of the benchmarks: sampler and learner on a model folder, at LoRA r 32."""

from collections.abc import Sequence

from step_task import GENERATIONS, MAX_COMPLETION, rewards_of

from tina_lite.grpo import LossSettings, advantages
from tina_lite.learner import Learner, OptimizerSettings, UpdateSettings
from tina_lite.policy.loading import load_tokenizer
from tina_lite.policy.portable import PortablePolicy
from tina_lite.problems import make_prompt
from tina_lite.records import Group, Problem, Prompt, ScoredGroup
from tina_lite.sampler import Sampler, Sampling

PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def make_policy(model: str) -> PortablePolicy:
    return PortablePolicy(model, load_tokenizer(model), r=32, alpha=64, dropout=0.0, target_modules=PROJECTIONS, seed=1)


def make_sampler(policy: PortablePolicy) -> Sampler:
    return Sampler(policy, Sampling(1.0, MAX_COMPLETION), seed=1, kv_tokens=policy.free_kv_tokens())


def make_learner(policy: PortablePolicy) -> Learner:
    settings = UpdateSettings(
        mask_truncated_completions=False,
        temperature=1.0,
        max_completion_length=MAX_COMPLETION,
        num_iterations=1,
        micro_batch_tokens=2048,
    )
    return Learner(policy, LossSettings("dapo"), settings, OptimizerSettings(0.9, 0.999, 0.0, 1.0), seed=1)


def make_prompts(policy: PortablePolicy, rows: Sequence[tuple[str, str]]) -> list[Prompt]:
    return [make_prompt(Problem(i, q, a, {}), policy.tokenizer, None) for i, (q, a) in enumerate(rows)]


def score(workload: str, groups: Sequence[Group]) -> list[ScoredGroup]:
    """Groups with the workload's rewards and their advantages."""
    totals = [
        rewards_of(workload, [c.text for c in group.completions], [group.prompt.problem.answer] * GENERATIONS)
        for group in groups
    ]
    return [
        ScoredGroup(group, {}, tuple(total), advantage)
        for group, total, advantage in zip(groups, totals, advantages(totals), strict=True)
    ]


def dtype_of(policy: PortablePolicy) -> str:
    return str(policy._dtype).removeprefix("torch.")
