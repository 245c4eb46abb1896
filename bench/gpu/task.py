"""What both sides of `step.py` do: the same sizes, and rewards that depend on the text alone."""

from typing import TYPE_CHECKING
from zlib import crc32

from sizes import SHIPPED, Sizes

if TYPE_CHECKING:
    from tina_lite.recipe import Recipe

STEPS = 2


def made_up_rewards(texts: list[str]) -> list[float]:
    """A hash of each text, so that every group has variance."""
    return [crc32(text.encode("utf-8", "replace")) % 1000 / 1000 for text in texts]


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
