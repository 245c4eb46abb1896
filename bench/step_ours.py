"""One side of `bench/step.py`: seconds of GRPO steps by tina-lite's sampler and learner. Prints one JSON line."""

import json
import resource
import sys
import time

from step_task import GENERATIONS, MAX_COMPLETION, PROMPTS, STEPS, questions, rewards_of

from tina_lite.grpo import LossSettings, advantages
from tina_lite.learner import Learner, OptimizerSettings, UpdateSettings
from tina_lite.policy.loading import load_tokenizer
from tina_lite.policy.portable import PortablePolicy
from tina_lite.problems import make_prompt
from tina_lite.records import Problem, ScoredGroup
from tina_lite.sampler import Sampler, Sampling

PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def main() -> None:
    model, data, workload = sys.argv[1:4]
    policy = PortablePolicy(
        model, load_tokenizer(model), r=32, alpha=64, dropout=0.0, target_modules=PROJECTIONS, seed=1
    )
    if workload == "full":
        policy.stop_ids = frozenset()  # every completion runs to the limit
    sampler = Sampler(policy, Sampling(1.0, MAX_COMPLETION), seed=1, kv_tokens=policy.free_kv_tokens())
    settings = UpdateSettings(
        mask_truncated_completions=False,
        temperature=1.0,
        max_completion_length=MAX_COMPLETION,
        num_iterations=1,
        micro_batch_tokens=2048,
    )
    learner = Learner(policy, LossSettings("dapo"), settings, OptimizerSettings(0.9, 0.999, 0.0, 1.0), seed=1)
    rows = questions(data)
    seconds, tokens, skipped = [], [], []
    for step in range(1, STEPS + 1):
        started = time.perf_counter()
        chosen = rows[(step - 1) * PROMPTS : step * PROMPTS]
        prompts = [make_prompt(Problem(i, q, a, {}), policy.tokenizer, None) for i, (q, a) in enumerate(chosen)]
        groups = sampler.rollout(prompts, GENERATIONS, step).groups
        totals = [
            rewards_of(workload, [c.text for c in group.completions], [group.prompt.problem.answer] * GENERATIONS)
            for group in groups
        ]
        scored = [
            ScoredGroup(group, {}, tuple(total), advantage)
            for group, total, advantage in zip(groups, totals, advantages(totals), strict=True)
        ]
        update = learner.update(scored, 1e-5, step)
        seconds.append(time.perf_counter() - started)
        tokens.append(sum(len(c.ids) for group in groups for c in group.completions))
        skipped.append(update.skipped_groups)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    dtype = str(policy._dtype).removeprefix("torch.")
    print(json.dumps({"seconds": seconds, "tokens": tokens, "skipped": skipped, "peak_bytes": peak, "dtype": dtype}))


if __name__ == "__main__":
    main()
