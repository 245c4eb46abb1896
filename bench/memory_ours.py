"""One side of `bench/memory.py`: peak resident bytes of loading, rollout and update, each counted anew (Linux).

Prints one JSON line.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ours import dtype_of, make_learner, make_policy, make_prompts, make_sampler, score
from step_task import GENERATIONS, PROMPTS, questions

PEAKS: dict[str, int] = {}


@contextmanager
def phase(name: str) -> Iterator[None]:
    """Record the peak of this phase: writing 5 to clear_refs sets VmHWM to what is resident now (man 5 proc)."""
    Path("/proc/self/clear_refs").write_text("5")
    yield
    status = Path("/proc/self/status").read_text().splitlines()
    PEAKS[name] = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


def main() -> None:
    model, data = sys.argv[1:3]
    with phase("load"):
        policy = make_policy(model)
        policy.stop_ids = frozenset()  # every completion runs to the limit
        sampler, learner = make_sampler(policy), make_learner(policy)
        prompts = make_prompts(policy, questions(data, PROMPTS))
    for step in (1, 2):  # the first step makes the optimiser's state
        with phase("rollout"):
            groups = sampler.rollout(prompts, GENERATIONS, step).groups
        with phase("update"):
            learner.update(score("full", groups), 1e-5, step)
    print(json.dumps({"peak_bytes": PEAKS, "dtype": dtype_of(policy)}))


if __name__ == "__main__":
    main()
