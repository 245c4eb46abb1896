"""One side of `bench/rollout.py`: tokens a second by tina-lite's sampler, and the share of its products in that.

Prints one JSON line.
"""

import json
import sys
import time
from collections.abc import Sequence
from typing import Any

import torch
from ours import dtype_of, make_learner, make_policy, make_prompts, make_sampler, score
from products import forward_seconds, training_seconds
from rollout_task import REPEATS, lengths
from step_task import GENERATIONS, MAX_COMPLETION, questions
from torch import Tensor

from tina_lite.policy.interface import Decoder, Prefix


class EndsAt:
    """A decoder whose rows end after given numbers of tokens and not before."""

    def __init__(self, inner: Decoder, ends: Sequence[int], stop_id: int) -> None:
        self._inner = inner
        self._waiting = list(ends)
        self._left = torch.zeros(0, dtype=torch.int64)
        self._stop_id = stop_id

    def prefill(self, prompts: Sequence[Sequence[int]]) -> list[Prefix]:
        prefixes = self._inner.prefill(prompts)
        for prefix in prefixes:
            prefix.logits[self._stop_id] = -torch.inf
        return prefixes

    def admit(self, prefixes: Sequence[Prefix]) -> None:
        self._inner.admit(prefixes)
        new, self._waiting = self._waiting[: len(prefixes)], self._waiting[len(prefixes) :]
        self._left = torch.cat((self._left, torch.tensor(new)))

    def step(self, tokens: Tensor) -> Tensor:
        logits = self._inner.step(tokens)
        self._left -= 1
        last = self._left <= 1
        logits[~last, self._stop_id] = -torch.inf
        logits[last, self._stop_id] = 1e9
        return logits

    def keep(self, rows: Tensor) -> None:
        self._inner.keep(rows)
        self._left = self._left[rows]


def main() -> None:
    model, data, workload, count = sys.argv[1:5]
    rows = int(count)
    ends = lengths(workload, rows)
    policy = make_policy(model)
    stop_id = policy.tokenizer.eos_token_id
    policy.stop_ids = frozenset({stop_id})
    plain_decoder = policy.decoder
    policy.decoder = lambda *sizes: EndsAt(plain_decoder(*sizes), ends, stop_id)  # type: ignore[method-assign]
    prompts = make_prompts(policy, questions(data, rows // GENERATIONS))
    sampler, seconds = make_sampler(policy), []
    for step in range(REPEATS + 1):
        started = time.perf_counter()
        groups = sampler.rollout(prompts, GENERATIONS, step).groups
        seconds.append(time.perf_counter() - started)
        sampled = [len(completion.ids) for group in groups for completion in group.completions]
        if sampled != ends:
            sys.exit(f"wanted completions of {ends} tokens, sampled {sampled}")
    result: dict[str, Any] = {"seconds": seconds[1:], "tokens": sum(ends), "dtype": dtype_of(policy)}
    if workload == "equal" and policy._dense is not None:
        result["products"] = MAX_COMPLETION * forward_seconds(policy._dense, rows)
        learner, updates = make_learner(policy), []
        scored = score("full", groups)
        for step in range(REPEATS + 1):
            started = time.perf_counter()
            learner.update(scored, 1e-5, step)
            updates.append(time.perf_counter() - started)
        read = sum(len(prompt.ids) for prompt in prompts) + rows * (MAX_COMPLETION - 1)
        result["update_seconds"] = updates[1:]
        result["update_products"] = training_seconds(policy._dense, read, rows * MAX_COMPLETION)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
