"""Seconds of an update on all completions of a group and on half of them. `python bench/update.py MODEL`

MODEL is a folder of SmolLM2-135M-Instruct. Four groups of eight completions, all of full length; the two take turns,
and the median of each counts. A table goes to stderr, one JSON object to stdout.
"""

import json
import random
import sys
import time
from statistics import median

from sides import head, in_time, say

PROMPT, COMPLETION, GROUPS, GENERATIONS, ROUNDS = 100, 160, 4, 8, 4


def main() -> None:
    from tina_lite.policy.memory_request import MemoryRequest
    from tina_lite.policy.native import NativePolicy
    from tina_lite.policy.pretrained import load_tokenizer
    from tina_lite.recipe.schema import GrpoSection, LoraSection, ModelSection, OptimSection, RolloutSection
    from tina_lite.train.learner import Learner
    from tina_lite.util.records import Completion, Group, Problem, Prompt, ScoredGroup

    model, lora = ModelSection(id=sys.argv[1]), LoraSection(r=32, alpha=64, dropout=0.0)
    rollout = RolloutSection(max_completion_length=COMPLETION, num_generations=GENERATIONS)
    request = MemoryRequest.sampling(model, lora, sequences=GROUPS * GENERATIONS, prompt=PROMPT, completion=COMPLETION)
    policy = NativePolicy(model, lora, load_tokenizer(model.id), seed=1, memory_request=request)
    draw = random.Random(1)

    def ids(count: int) -> tuple[int, ...]:
        return tuple(draw.randrange(100, 40_000) for _ in range(count))

    groups = []
    for number in range(GROUPS):
        prompt = Prompt(Problem(number, "?", "1", {}), "?", ids(PROMPT))
        completions = tuple(Completion(ids(COMPLETION), (-1.0,) * COMPLETION, "", "length") for _ in range(GENERATIONS))
        advantages = tuple(1.0 if place % 2 else -1.0 for place in range(GENERATIONS))
        groups.append(ScoredGroup(Group(prompt, completions), {}, advantages, advantages))
    optim = OptimSection(micro_batch_tokens=2048)
    learners = {
        most: Learner(
            policy, grpo=GrpoSection(update_completions=most), optim=optim, rollout=rollout, lora=lora, seed=1
        )
        for most in (GENERATIONS, GENERATIONS // 2)
    }
    seconds: dict[int, list[float]] = {most: [] for most in learners}
    with in_time():
        for number in range(ROUNDS + 1):
            for most, learner in learners.items():
                started = time.perf_counter()
                learner.update(groups, 0.0, number)
                if number:  # the first warms up
                    seconds[most].append(time.perf_counter() - started)
    found = {most: median(times) for most, times in seconds.items()}
    head("completions of a group", "seconds", "of all")
    for most, taken in found.items():
        say(most, f"{taken:.2f}", f"{taken / found[GENERATIONS]:.2f}")
    print(json.dumps({"dtype": policy.dtype_name, **{str(most): round(taken, 3) for most, taken in found.items()}}))


if __name__ == "__main__":
    main()
