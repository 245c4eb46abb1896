"""What both sides of `step.py` do: the same sizes; rewards are hashes of the texts (bench/step_task.py)."""

from typing import TYPE_CHECKING

from sizes import SHIPPED, Sizes

if TYPE_CHECKING:
    from tina_lite.recipe import Recipe

STEPS = 2


def recipe_of(engine: str, sizes: Sizes, prompts: int, group: int, completion: int) -> "Recipe":
    from tina_lite.recipe import Recipe

    return Recipe.model_validate(
        {
            "model": {"id": SHIPPED, "engine": engine},
            "lora": {"r": sizes.r, "alpha": 4 * sizes.r, "dropout": 0.0},
            "data": {"source": "arithmetic"},
            "rollout": {
                "prompts_per_step": prompts,
                "num_generations": group,
                "max_prompt_length": sizes.prompt,
                "max_completion_length": completion,
            },
        }
    )
