"""One side of `bench/memory.py`: peak resident bytes of loading, rollout and update, each counted anew (Linux).

Prints one JSON line.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ours import dtype_of, make_learner, make_policy, make_prompts, make_sampler, problems, score
from resident import forget_peak, resident
from step_task import GENERATIONS, MAX_COMPLETION, PROMPTS, questions

from tina_lite.data import make_prompt
from tina_lite.policy.pretrained import load_tokenizer

PEAKS: dict[str, int] = {}


@contextmanager
def phase(name: str) -> Iterator[None]:
    """Record the peak of this phase."""
    forget_peak()
    yield
    PEAKS[name] = resident("VmHWM")


def main() -> None:
    model, data = sys.argv[1:3]
    rows = questions(data, PROMPTS)
    longest = max(len(make_prompt(problem, load_tokenizer(model), None).ids) for problem in problems(rows))
    sizes = {"prompts": PROMPTS, "generations": GENERATIONS, "longest_prompt": longest}
    before = resident("VmRSS")
    with phase("load"):
        policy = make_policy(model, **sizes, longest_completion=MAX_COMPLETION)
        policy.stop_ids = frozenset()  # every completion runs to the limit
        sampler, learner = make_sampler(policy), make_learner(policy)
        prompts = make_prompts(policy, rows)
    for step in (1, 2):  # the first step makes the optimiser's state
        with phase("rollout" if step == 1 else "rollout after an update"):  # the process keeps what that gave back
            groups = sampler.rollout(prompts, GENERATIONS, step).groups
        with phase("update"):
            learner.update(score("full", groups), 1e-5, step)
    forecast = {"rollout": before + policy.layout.rollout_peak, "update": before + policy.layout.update_peak}
    print(json.dumps({"peak_bytes": PEAKS, "forecast_bytes": forecast, "dtype": dtype_of(policy)}))


if __name__ == "__main__":
    main()
