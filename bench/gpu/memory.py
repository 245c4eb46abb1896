"""The longest completions that train on a card of so many GB: a group of four with made-up tokens, peak by phase.

Usage:
    python memory.py native|unsloth CAP_GB

The cap is what torch may take of the card (a context takes more). A length trains where rows of it are decoded, one at
a time at least, and an update of all of them ends; the policy is laid out for what the plan says fits.
"""

import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

from engines import begin, make_policy
from measuring import Phases, planned
from sizes import Sizes, read_sizes
from task import recipe_of


def trains(policy: Any, sizes: Sizes, engine: str, completion: int, phases: Phases) -> bool:
    """Whether rows of this length are decoded, and an update of a group of them ends."""
    import torch

    from tina_lite.launch.load import longest_group
    from tina_lite.rollout.sampler import Sampler
    from tina_lite.train.learner import Learner
    from tina_lite.util.errors import NoRoom
    from tina_lite.util.memory import is_out_of_memory, release_memory

    recipe = recipe_of(engine, sizes, 1, sizes.memory_group, completion)
    group = longest_group(recipe)

    def decode() -> None:
        cache = sizes.memory_group * (sizes.prompt + completion)
        sampler = Sampler(policy, recipe.rollout, seed=1, kv_tokens=cache)
        sampler.rehearse(group.group.prompt.ids, 1, sizes.memory_group)

    def update() -> None:
        learner = Learner(
            policy, grpo=recipe.grpo, optim=recipe.optim, rollout=recipe.rollout, lora=recipe.lora, seed=1
        )
        learner.update([group], 1e-6, 1)

    try:
        phases.measure("rollout", decode)
        phases.measure("update", update)
    except (RuntimeError, MemoryError, NoRoom) as error:
        if not isinstance(error, NoRoom) and not is_out_of_memory(error):
            raise
        return False
    finally:
        release_memory()
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
    return True


def planned_longest(engine: str, sizes: Sizes, cap_gb: float) -> int:
    """The longest of the lengths that the plan says fits; 0 where none does."""
    fitting = [0]
    for completion in sizes.memory_completions:
        recipe = recipe_of(engine, sizes, 1, sizes.memory_group, completion)
        memory, _, device = planned(recipe, sizes, cap_gb)
        if memory.peak <= min(device.memory, cap_gb * 1e9):
            fitting.append(completion)
    return max(fitting)


def longest_of(lengths: Sequence[int], forecast: int, trains: Callable[[int], bool]) -> int:
    """From the forecast one up, as long as they train; should that one not, down from there. 0 where none does.

    >>> longest_of((1, 2, 3, 4), 3, lambda length: length < 3), longest_of((1, 2), 0, lambda length: True)
    (2, 2)
    """
    longest = 0
    for length in (one for one in lengths if one >= forecast):
        if not trains(length):
            break
        longest = length
    return longest or next((one for one in reversed(lengths) if one < forecast and trains(one)), 0)


def main() -> None:
    engine, cap_gb, sizes = sys.argv[1], float(sys.argv[2]), read_sizes()
    begin(engine)
    import torch

    from tina_lite.policy.memory_request import MemoryRequest

    if torch.cuda.is_available():
        total = torch.cuda.get_device_properties(0).total_memory
        if cap_gb * 1e9 > total:
            print(json.dumps({"missing": f"the card has less than {cap_gb:g} GB"}))
            return
        torch.cuda.set_per_process_memory_fraction(cap_gb * 1e9 / total)
    forecast, phases = planned_longest(engine, sizes, cap_gb), Phases()
    recipe = recipe_of(engine, sizes, 1, sizes.memory_group, forecast or sizes.memory_completions[0])
    peaks: dict[str, float | None] = {}
    policy = phases.measure("load", lambda: make_policy(engine, sizes, memory_request=MemoryRequest.of(recipe)))

    def tried(completion: int) -> bool:
        done = trains(policy, sizes, engine, completion, phases)
        if done:
            peaks.update(phases.peaks())
        return done

    longest = longest_of(sizes.memory_completions, forecast, tried)
    result = {"engine": engine, "cap_gb": cap_gb, "longest_completion": longest, "planned_longest": forecast}
    print(json.dumps({**result, "longest_tried": max(sizes.memory_completions), **peaks}))


if __name__ == "__main__":
    main()
