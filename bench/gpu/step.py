"""A GRPO step of one engine on a card of so many GB: seconds and peak memory by phase, and the plan's figures beside.

Usage:
    python step.py portable|unsloth CAP_GB

One group of four, completions of 3,584 tokens. The cap is what torch may take of the card (a context takes more).
"""

import json
import sys
import time
from typing import Any

from sides import begin, make_policy
from sizes import PROJECTIONS, SHIPPED, prompt_ids, read_sizes

GIB = 1024**3


class Phases:
    """Seconds and peak of each phase; on a CPU the seconds alone."""

    def __init__(self) -> None:
        self.figures: dict[str, float | None] = {}

    def measure(self, name: str, work: Any) -> Any:
        import torch

        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        started = time.perf_counter()
        done = work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.figures[f"{name}_s"] = round(time.perf_counter() - started, 3)
        card = torch.cuda.is_available()
        self.figures[f"{name}_peak_gib"] = round(torch.cuda.max_memory_reserved() / GIB, 3) if card else None
        return done


def planned(shape: Any, work: Any, cap_gb: float, r: int) -> dict[str, Any]:
    """What `tina-lite plan` foretells of the portable engine on this device."""
    from tina_lite.device import card_name
    from tina_lite.plan import find_device
    from tina_lite.plan.cards import card_named
    from tina_lite.plan.memory import memory_of
    from tina_lite.plan.speed import step_time

    name = card_name()
    if name is None:
        device = find_device(shape)
    else:
        device = find_device(shape, gpu=name if card_named(name) else None, vram_gib=cap_gb * 1e9 / GIB)
    memory = memory_of(shape, work, device, quantization="nf4", r=r, target_modules=PROJECTIONS)
    seconds = step_time(shape, work, device, memory, r=r, target_modules=PROJECTIONS)
    return {
        "planned_rollout_s": round(seconds.rollout, 3),
        "planned_update_s": round(seconds.update, 3),
        "planned_peak_gib": round(memory.peak / GIB, 3),
        "planned_fits": memory.peak <= device.memory,
    }


def main() -> None:
    engine, cap_gb, sizes = sys.argv[1], float(sys.argv[2]), read_sizes()
    begin(engine)
    import torch

    if torch.cuda.is_available():
        total = torch.cuda.get_device_properties(0).total_memory
        if cap_gb * 1e9 > total:
            print(json.dumps({"missing": f"the card has less than {cap_gb:g} GB"}))
            return
        torch.cuda.set_per_process_memory_fraction(cap_gb * 1e9 / total)

    from tina_lite.grpo import advantages
    from tina_lite.learner import Learner
    from tina_lite.plan.memory import least_step_bytes
    from tina_lite.plan.work import Work
    from tina_lite.policy.shape import ModelShape
    from tina_lite.recipe import Recipe
    from tina_lite.records import Problem, Prompt, ScoredGroup
    from tina_lite.sampler import Sampler

    recipe = Recipe.model_validate(
        {
            "model": {"id": SHIPPED, "engine": engine},
            "lora": {"r": sizes.r, "alpha": 4 * sizes.r, "dropout": 0.0},
            "data": {"source": "arithmetic"},
            "rollout": {
                "prompts_per_step": 1,
                "num_generations": sizes.group,
                "max_prompt_length": sizes.step_prompt,
                "max_completion_length": sizes.step_completion,
            },
        }
    )
    work = Work.of(recipe, {"prompt_share": 1.0, "completion_share": 1.0})  # every row is as long as is allowed
    phases = Phases()
    result: dict[str, Any] = {"engine": engine, "cap_gb": cap_gb}
    try:
        policy = phases.measure(
            "load",
            lambda: make_policy(
                engine, sizes,
                step_bytes=lambda s, item: least_step_bytes(s, work, item, sizes.r, recipe.lora.target_modules),
            ),
        )  # fmt: skip
        sampler = Sampler(policy, recipe.rollout, seed=1, kv_tokens=policy.free_kv_tokens())
        learner = Learner(
            policy, grpo=recipe.grpo, optim=recipe.optim, rollout=recipe.rollout, lora=recipe.lora, seed=1
        )
        prompt = Prompt(Problem(0, "", "", {}), "", prompt_ids(1, sizes.step_prompt)[0])
        groups = phases.measure("rollout", lambda: sampler.rollout([prompt], sizes.group, 1).groups)
        totals = [[float(n % 2) for n in range(sizes.group)]]
        scored = [ScoredGroup(groups[0], {}, tuple(totals[0]), advantages(totals)[0])]
        phases.measure("update", lambda: learner.update(scored, 1e-6, 1))
    except torch.OutOfMemoryError as error:
        result["out_of_memory"] = str(error)[:120]
    result |= phases.figures
    print(json.dumps(result | planned(ModelShape.from_config(sizes.config, SHIPPED), work, cap_gb, sizes.r)))


if __name__ == "__main__":
    main()
