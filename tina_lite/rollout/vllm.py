"""Groups of completions by vLLM, as the same results that the sampler gives.

vLLM schedules and draws; only seeds come from here, one for each (seed, step, problem). Its log-probs differ from the
learner's by more than rounding, which `grpo.tis_cap` corrects.
"""

from collections.abc import Callable, Sequence
from hashlib import blake2b
from math import inf
from typing import TYPE_CHECKING

from tina_lite.policy.vllm import Vllm
from tina_lite.rollout.sampler import Rollout, Sampler
from tina_lite.util.records import Group, Prompt

if TYPE_CHECKING:
    from tina_lite.policy.interface import Policy
    from tina_lite.recipe.schema import RolloutSection


class VllmSampler(Sampler):
    """A Sampler whose rollouts vLLM does."""

    def __init__(self, policy: "Policy", vllm: Vllm, rollout: "RolloutSection", *, seed: int) -> None:
        super().__init__(policy, rollout, seed=seed, kv_tokens=0)  # the cache is vLLM's own
        self._vllm = vllm

    def rollout(
        self,
        prompts: Sequence[Prompt],
        num_generations: int,
        step: int,
        *,
        out_of_time: Callable[[], bool] = lambda: False,
        max_tokens: float = inf,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> Rollout:
        total = len(prompts) * num_generations
        sampled = self._vllm.sample(
            [prompt.ids for prompt in prompts],
            [request_seed(self._seed, step, prompt.problem.index, prompt.epoch) for prompt in prompts],
            num_generations,
            self._sampling,
            sorted(self._policy.stop_ids),
            out_of_time=out_of_time,
            max_tokens=max_tokens,
            finished=lambda done: progress(done, total),
        )
        groups = tuple(
            Group(prompt, tuple(self._completion(ids, logprobs) for ids, logprobs in sampled[number]))
            for number, prompt in enumerate(prompts)
            if number in sampled
        )
        tokens = sum(len(completion.ids) for group in groups for completion in group.completions)
        return Rollout(groups, tokens, len(prompts) - len(groups))


def request_seed(seed: int, step: int, problem: int, epoch: int = 0) -> int:
    """32 bits, of which vLLM makes one seed for each completion."""
    name = f"{seed}/{step}/{problem}" + (f"/{epoch}" if epoch else "")
    return int.from_bytes(blake2b(name.encode(), digest_size=4).digest(), "big")
