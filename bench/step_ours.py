"""One side of `bench/step.py`: seconds of GRPO steps by tina-lite's sampler and learner. Prints one JSON line."""

import json
import resource
import sys
import time

from ours import dtype_of, make_learner, make_policy, make_prompts, make_sampler, score
from step_task import GENERATIONS, PROMPTS, STEPS, questions


def main() -> None:
    model, data, workload = sys.argv[1:4]
    policy = make_policy(model)
    if workload == "full":
        policy.stop_ids = frozenset()  # every completion runs to the limit
    sampler, learner = make_sampler(policy), make_learner(policy)
    rows = questions(data)
    seconds, tokens, skipped = [], [], []
    for step in range(1, STEPS + 1):
        started = time.perf_counter()
        prompts = make_prompts(policy, rows[(step - 1) * PROMPTS : step * PROMPTS])
        groups = sampler.rollout(prompts, GENERATIONS, step).groups
        update = learner.update(score(workload, groups), 1e-5, step)
        seconds.append(time.perf_counter() - started)
        tokens.append(sum(len(c.ids) for group in groups for c in group.completions))
        skipped.append(update.skipped_groups)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    result = {"seconds": seconds, "tokens": tokens, "skipped": skipped, "peak_bytes": peak, "dtype": dtype_of(policy)}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
