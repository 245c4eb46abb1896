"""A GRPO step of one engine on a whole card: seconds and share of each phase, and the plan's figures beside.

Usage:
    python step.py native|unsloth

Four prompts, six completions each, all of 512 tokens. The second step counts: in the first one kernels are chosen.
"""

import json
import sys
from functools import partial

from engines import begin, make_policy
from measuring import Phases, planned_seconds
from sizes import made_up_prompts, read_sizes
from step_task import hashed
from task import STEPS, recipe_of


def main() -> None:
    engine, sizes = sys.argv[1], read_sizes()
    begin(engine)

    from tina_lite.grpo import advantages
    from tina_lite.policy.memory_request import MemoryRequest
    from tina_lite.rollout.sampler import Sampler
    from tina_lite.train.learner import Learner
    from tina_lite.util.records import ScoredGroup

    recipe = recipe_of(engine, sizes, sizes.step_prompts, sizes.step_group, sizes.step_completion)
    policy = make_policy(engine, sizes, memory_request=MemoryRequest.of(recipe))
    sampler = Sampler(policy, recipe.rollout, seed=1, kv_tokens=policy.layout.kv_tokens)
    learner = Learner(policy, grpo=recipe.grpo, optim=recipe.optim, rollout=recipe.rollout, lora=recipe.lora, seed=1)
    prompts = made_up_prompts(sizes.step_prompts, sizes.prompt)
    phases = Phases()
    for number in range(1, STEPS + 1):
        phases = Phases()
        groups = phases.measure("rollout", partial(sampler.rollout, prompts, sizes.step_group, number)).groups
        totals = [hashed([c.text for c in group.completions]) for group in groups]
        scored = [
            ScoredGroup(group, {}, tuple(total), advantage)
            for group, total, advantage in zip(groups, totals, advantages(totals), strict=True)
        ]
        phases.measure("update", partial(learner.update, scored, 1e-6, number))
    tokens = sum(len(completion.ids) for group in groups for completion in group.completions)
    result = {"side": engine, "tokens": tokens, "seconds": phases.seconds(), **phases.figures()}
    print(json.dumps(result | planned_seconds(recipe, sizes)))


if __name__ == "__main__":
    main()
