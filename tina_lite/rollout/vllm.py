"""Groups of completions by vLLM, as the same results that the sampler gives.

vLLM schedules and draws; only seeds come from here, one for each (seed, step, problem). Its log-probs differ from the
learner's by more than rounding, which `grpo.tis_cap` corrects.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from hashlib import blake2b
from math import inf
from typing import TYPE_CHECKING

from tina_lite.policy.vllm import Vllm
from tina_lite.rollout.sampler import Place, Rollout, Sampler
from tina_lite.util.records import Completion, Group, Prompt

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
        sampled = self._sampled(prompts, num_generations, step, out_of_time, max_tokens, progress)
        groups = tuple(Group(prompts[number], completions) for number, completions in sampled.items())
        return Rollout(groups, _tokens_of(sampled))

    def complete(
        self,
        prompts: Sequence[Prompt],
        num_generations: int,
        step: int,
        *,
        known: Collection[Place],
        finished: Callable[[Place, Completion], None],
        out_of_time: Callable[[], bool] = lambda: False,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> int:
        places = [(group, number) for group in range(len(prompts)) for number in range(num_generations)]
        lacking = list(dict.fromkeys(group for group, number in places if (group, number) not in known))
        asked = [prompts[group] for group in lacking]
        sampled = self._sampled(asked, num_generations, step, out_of_time, inf, progress)
        for place, completions in sampled.items():
            for number, completion in enumerate(completions):
                if (lacking[place], number) not in known:
                    finished((lacking[place], number), completion)
        return _tokens_of(sampled)

    def _sampled(
        self,
        prompts: Sequence[Prompt],
        num_generations: int,
        step: int,
        out_of_time: Callable[[], bool],
        max_tokens: float,
        progress: Callable[[int, int], None],
    ) -> dict[int, tuple[Completion, ...]]:
        """All completions of a prompt, by its position; a prompt that was not finished in time is left out."""
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
        return {
            number: tuple(self._completion(ids, logprobs) for ids, logprobs in sampled[number])
            for number in range(len(prompts))
            if number in sampled
        }


def _tokens_of(sampled: Mapping[int, Sequence[Completion]]) -> int:
    return sum(len(one.ids) for completions in sampled.values() for one in completions)


def request_seed(seed: int, step: int, problem: int, epoch: int = 0) -> int:
    """32 bits, of which vLLM makes one seed for each completion."""
    name = f"{seed}/{step}/{problem}" + (f"/{epoch}" if epoch else "")
    return int.from_bytes(blake2b(name.encode(), digest_size=4).digest(), "big")
