"""One side of `bench/step.py`: seconds of a step of each workload by tina-lite's sampler and learner.

Prints one JSON line. `python step_ours.py MODEL_FOLDER GSM8K.jsonl WORKLOAD ...`
"""

import json
import resource
import sys
import time

from ours import dtype_of, make_learner, make_policy, make_prompts, make_sampler, score
from step_task import GENERATIONS, PROMPTS, questions, tokens_of


def main() -> None:
    model, data, *workloads = sys.argv[1:]
    policy = make_policy(model)
    ends, learner = policy.stop_ids, make_learner(policy)
    rows = questions(data, PROMPTS * len(workloads))
    seconds, tokens = [], []
    for step, workload in enumerate(workloads, start=1):
        least, most = tokens_of(workload)
        policy.stop_ids = frozenset() if least == most else ends
        sampler = make_sampler(policy, most)
        started = time.perf_counter()
        prompts = make_prompts(policy, rows[(step - 1) * PROMPTS : step * PROMPTS])
        groups = sampler.rollout(prompts, GENERATIONS, step).groups
        learner.update(score(workload, groups), 1e-5, step)
        seconds.append(time.perf_counter() - started)
        tokens.append(sum(len(c.ids) for group in groups for c in group.completions))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "tokens": tokens, "peak_bytes": peak, "dtype": dtype_of(policy)}))


if __name__ == "__main__":
    main()
