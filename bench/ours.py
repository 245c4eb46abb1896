"""tina-lite's side of the benchmarks: sampler and learner on a model folder, at LoRA r 32."""

from collections.abc import Sequence
from dataclasses import replace

from step_task import GENERATIONS, MAX_COMPLETION, rewards_of

from tina_lite.data import make_prompt
from tina_lite.grpo import advantages
from tina_lite.policy.memory_request import MemoryRequest
from tina_lite.policy.native import NativePolicy
from tina_lite.policy.pretrained import load_tokenizer
from tina_lite.recipe.schema import GrpoSection, LoraSection, ModelSection, OptimSection, RolloutSection
from tina_lite.rollout.sampler import Sampler
from tina_lite.train.learner import Learner
from tina_lite.util.records import Group, Problem, Prompt, ScoredGroup

LORA = LoraSection(r=32, alpha=64, dropout=0.0)
OPTIM = OptimSection(micro_batch_tokens=2048)
ROWS = 128
"""That a sampler may decode at once."""
ROLLOUT = RolloutSection(temperature=1.0, max_completion_length=MAX_COMPLETION)


def make_policy(model: str, **asked: int) -> NativePolicy:
    """`asked`: fields of what is asked of memory."""
    section = ModelSection(id=model)
    memory_request = replace(
        MemoryRequest.sampling(section, LORA, sequences=ROWS), micro_batch_tokens=OPTIM.micro_batch_tokens
    )
    memory_request = replace(memory_request, **asked)  # type: ignore[arg-type]
    return NativePolicy(section, LORA, load_tokenizer(model), seed=1, memory_request=memory_request)


def make_sampler(policy: NativePolicy, tokens: int = MAX_COMPLETION) -> Sampler:
    rollout = ROLLOUT.model_copy(update={"max_completion_length": tokens})
    return Sampler(policy, rollout, seed=1, kv_tokens=policy.layout.kv_tokens)


def make_learner(policy: NativePolicy) -> Learner:
    return Learner(policy, grpo=GrpoSection(loss_type="dapo"), optim=OPTIM, rollout=ROLLOUT, lora=LORA, seed=1)


def make_prompts(policy: NativePolicy, rows: Sequence[tuple[str, str]]) -> list[Prompt]:
    return [make_prompt(problem, policy.tokenizer, None) for problem in problems(rows)]


def problems(rows: Sequence[tuple[str, str]]) -> list[Problem]:
    return [Problem(i, q, a, {}) for i, (q, a) in enumerate(rows)]


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


def dtype_of(policy: NativePolicy) -> str:
    return str(policy._dtype).removeprefix("torch.")
