"""One side of `bench/rollout.py`: seconds of rollouts and updates by tina-lite, and the share of its products in them.

Prints one JSON line. `python rollout_ours.py MODEL_FOLDER GSM8K.jsonl ROWS`
"""

import json
import sys
import time
from collections.abc import Sequence
from typing import Any

import torch
from ours import dtype_of, make_learner, make_policy, make_prompts, make_sampler, score
from products import forward_seconds, training_seconds
from rollout_task import SHORTEST, WORKLOADS, lengths
from step_task import GENERATIONS, MAX_COMPLETION, questions
from torch import Tensor

from tina_lite.policy.interface import Decoder, Prefix
from tina_lite.policy.native import NativePolicy


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


def set_ends(policy: NativePolicy, ends: list[int]) -> None:
    """Rows end after these numbers of tokens; the caller may change them from rollout to rollout."""
    stop_id, plain_decoder = policy.tokenizer.eos_token_id, policy.decoder
    policy.stop_ids = frozenset({stop_id})
    policy.decoder = lambda *sizes: EndsAt(plain_decoder(*sizes), ends, stop_id)  # type: ignore[method-assign]


def main() -> None:
    model, data, count = sys.argv[1:]
    rows = int(count)
    policy, ends = make_policy(model), [SHORTEST]
    set_ends(policy, ends)
    prompts = make_prompts(policy, questions(data, rows // GENERATIONS))
    sampler, learner = make_sampler(policy), make_learner(policy)
    rollout_s, update_s, tokens = {}, {}, {}
    for step, workload in enumerate(("warm-up", *WORKLOADS)):
        ends[:] = lengths(workload, rows)
        started = time.perf_counter()
        groups = sampler.rollout(prompts, GENERATIONS, step).groups
        rollout_s[workload], tokens[workload] = time.perf_counter() - started, sum(ends)
        sampled = [len(completion.ids) for group in groups for completion in group.completions]
        if sampled != ends:
            sys.exit(f"wanted completions of {ends} tokens, sampled {sampled}")
        scored = score("full", groups)
        started = time.perf_counter()
        learner.update(scored, 1e-5, step)
        update_s[workload] = time.perf_counter() - started
    result: dict[str, Any] = {"dtype": dtype_of(policy), "seconds": rollout_s, "update_s": update_s, "tokens": tokens}
    if policy._dense is not None:
        read = sum(len(prompt.ids) for prompt in prompts) + rows * (MAX_COMPLETION - 1)
        decode = MAX_COMPLETION * forward_seconds(policy._dense, rows) / rollout_s["equal"]
        train = training_seconds(policy._dense, read, rows * MAX_COMPLETION) / update_s["equal"]
        result["gemm_fraction"] = {"train": train, "decode": decode}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
